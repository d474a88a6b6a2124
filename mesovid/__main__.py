"""`python -m mesovid`."""

from mesovid.cli import main

main()
