"""Faces in pictures and in moving ones, on a portrait with exactly one face."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesovid.cascade import UPRIGHT, Cascade, Sight, pyramid, squares
from mesovid.faces import FaceFinder, _key_frames, _turned, _turned_back
from mesovid.records import Face, Frame, FrameFaces
from mesovid.settings import FaceSettings, RuntimeSettings

CPU = RuntimeSettings(device="cpu")
FACE = (182, 60, 266, 172)  # px, in the portrait


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder(FaceSettings(), CPU)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    across = min(a[2], b[2]) - max(a[0], b[0])
    down = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(across, 0) * max(down, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A faceless picture that is not flat."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def placed(
    portrait: np.ndarray, *corners: tuple[int, int], size: int = 256, seed: int = 0
) -> np.ndarray:
    """A faceless scene of 480 x 640 with the portrait's head at each (left, top)."""
    scene = texture(480, 640, seed)
    small = cv2.resize(portrait, (size, size), interpolation=cv2.INTER_AREA)
    head = small[: size // 2, size // 4 : size * 3 // 4]
    for left, top in corners:
        scene[top : top + head.shape[0], left : left + head.shape[1]] = head
    return scene


def letters(seed: int) -> np.ndarray:
    """A page of tilted letters; in some of them the detector sees a face."""
    rng = np.random.default_rng(seed)
    page = np.full((480, 640, 3), rng.integers(90, 220, 3), np.uint8)
    for line in range(60, 480, 70):
        text = "".join(rng.choice(list("ABCDEGOQRSUX08963:."), 14))
        font, colour = int(rng.integers(0, 4)), rng.integers(0, 255, 3).tolist()
        cv2.putText(page, text, (0, line), font, 1.8, colour, int(rng.integers(3, 8)))
    tilt = cv2.getRotationMatrix2D((320, 240), float(rng.integers(0, 360)), 1.2)
    return cv2.GaussianBlur(cv2.warpAffine(page, tilt, (640, 480)), (0, 0), 1.5)


def frames(images: Sequence[np.ndarray]) -> list[Frame]:
    return [Frame(i, i / 10, image) for i, image in enumerate(images)]


def follow(
    finder: FaceFinder, images: Sequence[np.ndarray], batch_size: int = 16
) -> list[FrameFaces]:
    return list(finder.follow(frames(images), batch_size))


def roll(face: Face) -> float:
    """Degrees clockwise of the line between the eyes."""
    across, down = face.landmarks[1] - face.landmarks[0]
    return float(np.degrees(np.arctan2(down, across)))


def counts(found: Sequence[FrameFaces]) -> list[int]:
    return [len(each.faces) for each in found]


def detections(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images pass the whole cascade from here on, call by call."""
    seen: list[int] = []
    whole = Cascade.look

    def counted(
        cascade: Cascade,
        images: Sequence[np.ndarray],
        rolls: Sequence[float] = UPRIGHT,
        around: bool = False,
    ) -> Sight:
        seen.append(len(images))
        return whole(cascade, images, rolls, around)

    monkeypatch.setattr(Cascade, "look", counted)
    return seen


class TestFind:
    def test_the_portrait_has_exactly_one_face(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        ((face,),) = finder.find([astronaut])
        assert overlap(face.box, FACE) > 0.85
        assert face.confidence > 0.95
        assert face.landmarks.shape == (5, 2)
        assert face.landmarks.dtype == np.float32
        eye, other_eye, nose, mouth, other_mouth = face.landmarks
        assert eye[0] < nose[0] < other_eye[0]
        assert mouth[0] < other_mouth[0]
        assert max(eye[1], other_eye[1]) < nose[1] < min(mouth[1], other_mouth[1])

    def test_agrees_with_the_package_on_box_and_landmarks(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        mtcnn = original_detector()
        (theirs,) = mtcnn.detect_faces(astronaut)
        ((face,),) = finder.find([astronaut])
        left, top, width, height = theirs["box"]
        assert overlap(face.box, (left, top, left + width, top + height)) > 0.85
        names = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
        points = np.array([theirs["keypoints"][name] for name in names], np.float32)
        assert np.linalg.norm(face.landmarks - points, axis=1).max() < 0.03 * width

    def test_both_runtimes_agree(self, finder: FaceFinder, astronaut: np.ndarray) -> None:
        original = FaceFinder(FaceSettings(), RuntimeSettings(runtime="tensorflow", device="cpu"))
        images = [astronaut, placed(astronaut, (50, 60), (400, 200)), texture(200, 300)]
        ours, theirs = finder.find(images), original.find(images)
        assert [len(faces) for faces in ours] == [len(faces) for faces in theirs] == [1, 2, 0]
        for mine, other in zip(sum(ours, ()), sum(theirs, ()), strict=True):
            np.testing.assert_allclose(mine.box, other.box, atol=0.01)
            np.testing.assert_allclose(mine.landmarks, other.landmarks, atol=0.01)
            assert mine.confidence == pytest.approx(other.confidence, abs=1e-4)

    def test_images_of_many_sizes_pass_together_a_faceless_one_first(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        small = cv2.resize(astronaut, (300, 256), interpolation=cv2.INTER_AREA)
        images = [texture(240, 320), astronaut, small, texture(512, 512), astronaut[:, :400]]
        together = finder.find(images)
        assert [len(faces) for faces in together] == [0, 1, 1, 0, 1]
        for image, faces in zip(images, together, strict=True):
            (alone,) = finder.find([np.ascontiguousarray(image)])
            for a, b in zip(faces, alone, strict=True):
                np.testing.assert_allclose(a.box, b.box, atol=0.01)

    @pytest.mark.parametrize(
        "image",
        [
            np.full((300, 400, 3), 128, np.uint8),
            np.full((300, 400, 3), 255, np.uint8),
            np.zeros((300, 400, 3), np.uint8),
            np.zeros((1, 1, 3), np.uint8),
            np.full((11, 2000, 3), 90, np.uint8),
            np.full((2000, 1, 3), 90, np.uint8),
            texture(40, 40),
        ],
        ids=["grey", "white", "black", "1x1", "low", "narrow", "tiny"],
    )
    def test_an_image_without_a_face_has_none(self, finder: FaceFinder, image: np.ndarray) -> None:
        assert finder.find([image]) == [()]

    def test_no_images_give_nothing(self, finder: FaceFinder) -> None:
        assert finder.find([]) == []

    @pytest.mark.parametrize(("height", "found"), [(200, 1), (90, 1), (45, 1), (30, 0)])
    def test_faces_are_found_from_the_smallest_that_is_asked_for(
        self, finder: FaceFinder, astronaut: np.ndarray, height: int, found: int
    ) -> None:
        scale = height / (FACE[3] - FACE[1])
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=interpolation)
        assert len(finder.find([image])[0]) == found

    def test_a_larger_smallest_face_leaves_it_out(self, astronaut: np.ndarray) -> None:
        assert FaceFinder(FaceSettings(min_face=150), CPU).find([astronaut]) == [()]
        assert len(FaceFinder(FaceSettings(min_face=90), CPU).find([astronaut])[0]) == 1

    @pytest.mark.parametrize("angle", [-135, -90, -60, -45, -30, 15, 30, 45, 60, 90, 120, 180])
    def test_a_face_has_the_same_landmarks_however_it_is_turned(
        self, finder: FaceFinder, astronaut: np.ndarray, angle: int
    ) -> None:
        scene = placed(astronaut, (220, 140), size=400)
        matrix = cv2.getRotationMatrix2D((320, 240), -angle, 1)
        turned = cv2.warpAffine(scene, matrix, (640, 480), borderMode=cv2.BORDER_REFLECT)
        ((face,), (other,)) = finder.find([scene, turned])
        expected = face.landmarks @ matrix[:, :2].T + matrix[:, 2]
        width = face.box[2] - face.box[0]
        assert np.linalg.norm(other.landmarks - expected, axis=1).max() < 0.05 * width
        left, top, right, bottom = other.box
        assert (
            np.hypot((left + right) / 2 - expected[2, 0], (top + bottom) / 2 - expected[2, 1])
            < 0.25 * width
        )

    def test_letters_that_do_not_come_to_rest_as_a_face_are_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cascade, image = Cascade(FaceSettings(), CPU), letters(1823)
        assert cascade.detect([image]) == [()]
        monkeypatch.setattr("mesovid.cascade.LEAST_SETTLED", 0.0)
        ((face,),) = cascade.detect([image])
        assert face.confidence > 0.95

    def test_two_faces_and_only_the_largest_of_them(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        image = placed(astronaut, (30, 40))
        image[200:456, 300:556] = placed(astronaut, (0, 0), size=512)[:256, :256]
        assert len(finder.find([image])[0]) == 2
        ((face,),) = FaceFinder(FaceSettings(faces="largest"), CPU).find([image])
        assert face.box[0] > 300

    def test_a_box_stays_inside_of_its_image(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        ((face,),) = finder.find([np.ascontiguousarray(astronaut[75:, 195:])])
        left, top, right, bottom = face.box
        assert left >= 0
        assert top >= 0
        assert right <= astronaut.shape[1] - 195
        assert bottom <= astronaut.shape[0] - 75


class TestFollow:
    def test_a_moving_face_is_found_in_every_frame_where_it_is(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        images = [placed(astronaut, (20 + 12 * i, 40 + 5 * i)) for i in range(24)]
        found = follow(finder, images)
        assert counts(found) == [1] * 24
        assert [each.frame.index for each in found] == list(range(24))
        for each, (alone,) in zip(found, finder.find(images), strict=True):
            assert overlap(each.faces[0].box, alone.box) > 0.8
            width = alone.box[2] - alone.box[0]
            assert (
                np.linalg.norm(each.faces[0].landmarks - alone.landmarks, axis=1).mean()
                < 0.05 * width
            )

    @pytest.mark.parametrize(
        "shift", [(0.1, 0), (0, -0.1), (-0.07, 0.07)], ids=["right", "up", "down left"]
    )
    def test_a_guess_beside_the_face_comes_to_rest_on_the_same_landmarks(
        self, astronaut: np.ndarray, shift: tuple[float, float]
    ) -> None:
        cascade = Cascade(FaceSettings(), CPU)
        ((face,),) = cascade.detect([astronaut])
        width = face.box[2] - face.box[0]
        moved = Face(face.box, 1.0, face.landmarks + np.float32(shift) * np.float32(width))
        ((again,),) = cascade.confirm([astronaut], [(moved,)])
        assert np.linalg.norm(again.landmarks - face.landmarks, axis=1).max() < 0.01 * width

    def test_a_guess_where_no_face_is_is_not_confirmed(self, astronaut: np.ndarray) -> None:
        cascade = Cascade(FaceSettings(), CPU)
        ((face,),) = cascade.detect([astronaut])
        beside = Face(face.box, 1.0, face.landmarks + np.float32([0, 250]))
        assert cascade.confirm([astronaut], [(beside,)]) == [()]

    def test_a_cut_away_and_back_is_flagged_and_no_face_outlives_it(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        shots = [placed(astronaut, (100 + i, 90)) for i in range(5)]
        away = [texture(480, 640, seed=7)] * 6
        found = follow(finder, [*shots, *away, *shots])
        assert counts(found) == [1] * 5 + [0] * 6 + [1] * 5
        assert [i for i, each in enumerate(found) if each.cut] == [0, 5, 11]

    @pytest.mark.parametrize("batch_size", [4, 16])
    def test_a_stream_that_changes_its_size_shows_faces_in_each(
        self, finder: FaceFinder, astronaut: np.ndarray, batch_size: int
    ) -> None:
        sizes = [256] * 6 + [512] * 6 + [384] * 4
        images = [
            cv2.resize(astronaut, (size, size), interpolation=cv2.INTER_AREA) for size in sizes
        ]
        found = follow(finder, images, batch_size)
        assert counts(found) == [1] * len(sizes)
        assert [item.cut for item in found] == [True] + [False] * 15
        ((face,),) = finder.find([astronaut])
        for item, size in zip(found, sizes, strict=True):
            expected = np.array(face.box) * size / 512
            assert overlap(item.faces[0].box, expected.tolist()) > 0.8

    def test_a_flash_is_no_cut(self, finder: FaceFinder, astronaut: np.ndarray) -> None:
        scene = placed(astronaut, (100, 90))
        bright = np.clip(scene.astype(int) + 60, 0, 255).astype(np.uint8)
        found = follow(finder, [scene, scene, bright, scene])
        assert [each.cut for each in found] == [True, False, False, False]

    @pytest.mark.parametrize("batch_size", [1, 5, 16])
    def test_someone_new_is_found_within_the_rhythm(
        self, finder: FaceFinder, astronaut: np.ndarray, batch_size: int
    ) -> None:
        alone, both = placed(astronaut, (60, 60)), placed(astronaut, (60, 60), (420, 180))
        found = counts(follow(finder, [alone] * 5 + [both] * 15, batch_size))
        rhythm = finder.settings.redetect
        assert found[:5] == [1] * 5
        assert found[5 + rhythm :] == [2] * (15 - rhythm)

    def test_someone_who_leaves_is_not_seen_any_longer(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        alone, both = placed(astronaut, (60, 60)), placed(astronaut, (60, 60), (420, 180))
        assert counts(follow(finder, [both] * 9 + [alone] * 11)) == [2] * 9 + [1] * 11

    def test_frames_minutes_apart_are_each_looked_at(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        corners = [(20, 30), (400, 200), (200, 100), (500, 20), (40, 250), (300, 300)] * 3
        images = [placed(astronaut, corner, seed=i) for i, corner in enumerate(corners)]
        found = follow(finder, images)
        assert counts(found) == [1] * len(corners)
        assert all(each.cut for each in found)

    def test_most_frames_pass_only_the_small_networks(
        self, finder: FaceFinder, astronaut: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = detections(monkeypatch)
        found = follow(finder, [placed(astronaut, (100 + 2 * i, 90)) for i in range(32)])
        assert counts(found) == [1] * 32
        assert sum(seen) <= 6

    @pytest.mark.parametrize("turn", [1, 2, 3], ids=["anticlockwise", "upside down", "clockwise"])
    def test_a_turned_clip_shows_the_faces_that_it_shows_upright(
        self, finder: FaceFinder, astronaut: np.ndarray, turn: int
    ) -> None:
        upright = [placed(astronaut, (150 + i, 100), size=400) for i in range(10)] * 2
        turned = follow(finder, [np.ascontiguousarray(np.rot90(image, turn)) for image in upright])
        assert counts(turned) == [1] * 20
        for image, before, after in zip(upright, follow(finder, upright), turned, strict=True):
            ((face,), (other,)) = before.faces, after.faces
            back = _turned_back(other, turn, *image.shape[:2])
            assert overlap(face.box, back.box) > 0.95
            np.testing.assert_allclose(back.landmarks, face.landmarks, atol=1)

    @pytest.mark.parametrize("batch_size", [5, 16])
    def test_someone_who_lies_beside_someone_upright_is_found_the_right_way_round(
        self, finder: FaceFinder, astronaut: np.ndarray, batch_size: int
    ) -> None:
        head = placed(astronaut, (0, 0), size=400)[:200, :200]
        images = []
        for i in range(20):
            image = placed(astronaut, (30 + i, 60), size=400)
            image[200:400, 350 - i : 550 - i] = np.rot90(head)
            images.append(image)
        found = follow(finder, images, batch_size)
        assert counts(found) == [2] * 20
        for each in found:
            upright, lying = sorted(each.faces, key=lambda face: face.box[0])
            assert abs(roll(upright)) < 25
            assert abs(roll(lying) + 90) < 25

    def test_a_shot_that_is_turned_between_others_is_found(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        upright = [placed(astronaut, (100 + i, 90), size=400) for i in range(5)]
        side = [np.ascontiguousarray(np.rot90(image[:, :480], 3)) for image in upright]
        found = follow(finder, [*upright, *side, *upright])
        assert counts(found) == [1] * 15
        assert [round(roll(each.faces[0]) / 90) for each in found] == [0] * 5 + [1] * 5 + [0] * 5

    def test_a_single_picture_on_its_side_is_turned(
        self, finder: FaceFinder, astronaut: np.ndarray
    ) -> None:
        assert counts(follow(finder, [np.ascontiguousarray(np.rot90(astronaut))])) == [1]

    def test_a_faceless_clip_has_no_face_and_is_tried_on_its_sides_only_a_little(
        self, finder: FaceFinder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = detections(monkeypatch)
        assert counts(follow(finder, [texture(240, 320)] * 32)) == [0] * 32
        assert sum(seen) <= 14

    def test_only_the_largest_face_is_given_when_asked(self, astronaut: np.ndarray) -> None:
        image = placed(astronaut, (30, 40))
        image[200:456, 300:556] = placed(astronaut, (0, 0), size=512)[:256, :256]
        found = follow(FaceFinder(FaceSettings(faces="largest"), CPU), [image] * 4)
        assert counts(found) == [1] * 4
        assert all(each.faces[0].box[0] > 300 for each in found)

    def test_no_frames_give_nothing(self, finder: FaceFinder) -> None:
        assert follow(finder, []) == []


class TestLaws:
    @given(height=st.integers(1, 3000), width=st.integers(1, 3000), min_face=st.floats(12, 500))
    def test_every_level_of_a_pyramid_holds_a_window(
        self, height: int, width: int, min_face: float
    ) -> None:
        scales = pyramid(height, width, min_face)
        assert all(int(min(height, width) * scale) >= 12 for scale in scales)
        assert all(0 < scale <= 1 for scale in scales)

    @given(
        st.lists(
            st.tuples(*[st.floats(-100, 1000)] * 2, *[st.floats(1, 500)] * 2),
            min_size=1,
            max_size=5,
        )
    )
    def test_squares_hold_their_boxes(
        self, given_boxes: list[tuple[float, float, float, float]]
    ) -> None:
        box = np.array([(x, y, x + w, y + h) for x, y, w, h in given_boxes], np.float32)
        square = squares(box)
        np.testing.assert_allclose(
            square[:, 2] - square[:, 0], square[:, 3] - square[:, 1], rtol=1e-4, atol=1e-3
        )
        assert (square[:, :2] <= box[:, :2] + 0.01).all()
        assert (square[:, 2:] >= box[:, 2:] - 0.01).all()

    @given(
        st.lists(st.booleans(), min_size=1, max_size=40),
        st.integers(1, 12),
    )
    def test_key_frames_end_every_shot_and_keep_the_rhythm(
        self, cuts: list[bool], redetect: int
    ) -> None:
        keys = _key_frames(cuts, redetect)
        assert keys[-1] == len(cuts) - 1
        assert {i for i, cut in enumerate(cuts) if cut} <= set(keys)
        assert all(b - a <= redetect for a, b in zip([-1, *keys], keys, strict=False))

    @pytest.mark.parametrize("turn", [0, 1, 2, 3])
    @given(x=st.integers(0, 39), y=st.integers(0, 29))
    def test_a_point_comes_back_from_a_turn(self, turn: int, x: int, y: int) -> None:
        image = np.zeros((30, 40, 3), np.uint8)
        image[y, x] = 255
        row, column = (int(i[0]) for i in np.nonzero(_turned(image, turn)[..., 0]))
        landmarks = np.full((5, 2), (column, row), np.float32)
        face = _turned_back(Face((column, row, column + 1, row + 1), 1.0, landmarks), turn, 30, 40)
        assert face.landmarks.tolist() == [[x, y]] * 5
        assert face.box == (x, y, x + 1, y + 1)


def original_detector():
    from mesovid.backend import import_tensorflow

    import_tensorflow()
    from mtcnn import MTCNN

    return MTCNN()
