"""mesovid: is a face in this video faked?"""

__version__ = "0.1.0"
