"""Datasets: drawn as the article draws, shipped whole, read from the user's files, split and standardized."""

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from momentumlab.errors import DataError
from momentumlab.problems.data import build, cast
from momentumlab.problems.files import checksum

DEFAULTS: dict[str, dict[str, Any]] = {
    "line": {"samples": 100, "slope": 2.0, "intercept": 1.0, "noise": 0.1},
    "moons": {"samples": 200, "noise": 0.1},
    "digits": {},
    "csv": {"features": ["x"], "target": "y"},
    "npz": {},
}


def data(kind: str, **values: Any) -> SimpleNamespace:
    """A data section with the contract's defaults."""
    common = {"kind": kind, "seed": 0, "test": 0.0, "standardize": False}
    return SimpleNamespace(**(common | DEFAULTS[kind] | values))


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_a_line_is_drawn_as_the_articles_script_draws_it_bit_for_bit(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        x = torch.randn(100, 1)
        y = 2 * x + 1 + 0.1 * torch.randn(100, 1)

    drawn = build(data("line", seed=seed), "mse")

    assert drawn.x.dtype == drawn.y.dtype == np.float32
    assert drawn.x.tobytes() == x.numpy().tobytes()
    assert drawn.y.tobytes() == y.numpy().tobytes()
    assert (drawn.test_x, drawn.test_y, drawn.classes) == (None, None, None)
    assert (drawn.feature_names, drawn.target_names) == (("x",), ("y",))


def test_drawing_leaves_the_global_generators_alone() -> None:
    before, before_numpy = torch.get_rng_state(), np.random.get_state()[1].copy()
    for kind in ("line", "moons"):
        build(data(kind, test=0.5), "mse")
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], before_numpy)


def test_a_line_without_noise_is_a_line() -> None:
    drawn = build(data("line", samples=7, slope=-3.0, intercept=0.5, noise=0.0), "mse")
    np.testing.assert_allclose(drawn.y, -3 * drawn.x + 0.5, rtol=1e-6)  # float32


def test_moons_without_noise_are_two_half_circles() -> None:
    drawn = build(data("moons", samples=101, noise=0.0), "cross_entropy")

    assert drawn.x.shape == (101, 2)
    assert drawn.classes == 2
    assert np.bincount(drawn.y).tolist() == [51, 50]
    upper, lower = drawn.x[drawn.y == 0], drawn.x[drawn.y == 1]
    np.testing.assert_allclose(np.hypot(*upper.T), 1, rtol=1e-14)
    np.testing.assert_allclose(np.hypot(*(lower - (1, 0.5)).T), 1, rtol=1e-14)
    assert (upper[:, 1] >= 0).all()
    assert (lower[:, 1] <= 0.5).all()


def test_the_noise_of_moons_has_the_deviation_asked_for() -> None:
    quiet, noisy = (build(data("moons", samples=20000, noise=noise), "cross_entropy") for noise in (0.0, 0.3))
    # 40000 draws: the deviation is known to 0.3/√80000 ≈ 0.001; five of those.
    np.testing.assert_allclose((noisy.x - quiet.x).std(), 0.3, atol=0.005)


def test_digits_are_the_real_ones() -> None:
    digits = build(data("digits"), "cross_entropy")

    assert digits.x.shape == (1797, 64)
    assert digits.classes == 10
    assert (digits.x.min(), digits.x.max()) == (0, 1)
    assert (16 * digits.x).sum() == 561718
    assert np.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # The first image, a zero, as UCI's optdigits.tes has it.
    assert (16 * digits.x[0, :16]).tolist() == [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]
    assert digits.y[:10].tolist() == list(range(10))


def test_the_digits_come_small_and_with_their_attribution(repository: Path) -> None:
    folder = repository / "momentumlab" / "problems"
    assert (folder / "digits.npz").stat().st_size < 60_000
    text = (folder / "digits.md").read_text(encoding="utf-8")
    for word in ("Alpaydin", "Kaynak", "UCI", "creativecommons.org/licenses/by/4.0", "scikit-learn"):
        assert word in text


@pytest.mark.parametrize("kind", ["line", "moons", "digits"])
def test_the_same_seed_gives_the_same_bytes(kind: str) -> None:
    loss = "mse" if kind == "line" else "cross_entropy"
    first, second = (build(data(kind, seed=3, test=0.3), loss) for _ in range(2))
    for name in ("x", "y", "test_x", "test_y"):
        assert getattr(first, name).tobytes() == getattr(second, name).tobytes()


@pytest.mark.parametrize("kind", ["line", "moons"])
def test_another_seed_gives_other_samples(kind: str) -> None:
    assert not np.array_equal(build(data(kind, seed=0), "mse").x, build(data(kind, seed=1), "mse").x)


def test_a_split_shares_out_every_sample_once_and_keeps_their_order(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{n},{-n}\n" for n in range(50)))

    parts = build(data("csv", path=path, test=0.3), "mse")

    assert parts.test_x is not None
    assert parts.test_y is not None
    assert len(parts.test_x) == 15
    np.testing.assert_array_equal(np.sort(np.concatenate((parts.x, parts.test_x)).ravel()), np.arange(50))
    for x, y in ((parts.x, parts.y), (parts.test_x, parts.test_y)):
        assert (np.diff(x.ravel()) > 0).all()
        np.testing.assert_array_equal(y, -x)


def test_the_split_depends_on_the_seed_of_the_data_and_on_nothing_else() -> None:
    splits = [build(data("digits", test=0.2, seed=seed), "cross_entropy").test_y for seed in (0, 0, 1)]
    assert [len(split) for split in splits if split is not None] == [359] * 3
    np.testing.assert_array_equal(splits[0], splits[1])
    assert not np.array_equal(splits[0], splits[2])


@pytest.mark.parametrize(("share", "lack"), [(0.9, "none to train on"), (0.1, "none to test on")])
def test_a_split_that_leaves_a_part_empty_is_refused(share: float, lack: str) -> None:
    with pytest.raises(DataError, match=rf"data\.test: the share {share} of 3 samples leaves {lack}"):
        build(data("line", samples=3, test=share), "mse")


def test_standardized_features_have_mean_0_and_deviation_1_over_the_training_samples() -> None:
    plain = build(data("moons", test=0.4), "cross_entropy")
    scaled = build(data("moons", test=0.4, standardize=True), "cross_entropy")

    # Hundreds of roundings near 1e-16.
    np.testing.assert_allclose(scaled.x.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(scaled.x.std(axis=0), 1, rtol=1e-14)
    assert plain.test_x is not None
    assert scaled.test_x is not None
    by_training = (plain.test_x - plain.x.mean(axis=0)) / plain.x.std(axis=0)
    np.testing.assert_allclose(scaled.test_x, by_training, rtol=1e-12)
    np.testing.assert_array_equal(scaled.y, plain.y)


def test_a_constant_feature_becomes_0_and_is_not_blown_up(tmp_path: Path) -> None:
    # Ten times 0.1 has a mean beside 0.1 and a deviation of 1e-17.
    path = written(tmp_path, "x,y\n" + "0.1,1\n" * 10)
    scaled = build(data("csv", path=path, standardize=True), "mse")
    np.testing.assert_array_equal(scaled.x, 0)


@pytest.mark.parametrize("pair", ["1e308\n-1e308", "1e-200\n-1e-200"])
def test_numbers_whose_deviation_is_no_float_are_not_standardized(tmp_path: Path, pair: str) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"{number},1\n" for number in pair.split()))
    with pytest.raises(DataError, match=r"data\.standardize: 'x': too large or too small"):
        build(data("csv", path=path, standardize=True), "mse")


def test_a_cast_rounds_floats_and_leaves_classes_whole() -> None:
    moons = build(data("moons", test=0.2), "cross_entropy")
    single = cast(moons, "float32")
    assert single.test_x is not None
    assert single.x.dtype == single.test_x.dtype == np.float32
    assert single.y.dtype == np.int64
    np.testing.assert_array_equal(single.x, moons.x.astype(np.float32))


def test_a_number_too_large_for_float32_is_refused_and_not_made_infinite(tmp_path: Path) -> None:
    table = build(data("csv", path=written(tmp_path, "x,y\n1,1\n-1e39,1\n")), "mse")
    assert cast(table, "float64").x.min() == -1e39
    with pytest.raises(DataError, match=r"1e\+39 is too large for train\.dtype: float32\. Take .*float64"):
        cast(table, "float32")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            "0 1.5",
            r"table\.csv:3: column 'y': got 1\.5\. cross_entropy needs classes, whole numbers .* loss: mse",
        ),
        ("0 -1", r"table\.csv:3: column 'y': got -1"),
        ("0 65536", r"table\.csv:3: column 'y': got 65536"),
        ("1e300 0", r"table\.csv:2: column 'y': got 1e\+300"),
        ("4 4", r"every sample is of class 4\. Two classes"),
    ],
)
def test_targets_that_are_no_classes_are_refused_by_row(tmp_path: Path, labels: str, message: str) -> None:
    path = written(tmp_path, "x,y\n" + "".join(f"1,{label}\n" for label in labels.split()))
    with pytest.raises(DataError, match=message):
        build(data("csv", path=path), "cross_entropy")


def test_classes_of_a_file_are_whole_numbers_from_0(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n1,2\n2,0\n3,1.0\n")
    table = build(data("csv", path=path), "cross_entropy")
    assert (table.y.tolist(), table.y.dtype, table.classes) == ([2, 0, 1], np.int64, 3)


def test_one_hot_rows_are_refused_with_the_way_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3), y=np.eye(3))
    with pytest.raises(DataError, match=r"a\.npz: y\[0\]: got 3 numbers.*y\.argmax\(1\)"):
        build(data("npz", path=tmp_path / "a.npz"), "cross_entropy")


def test_a_checksum_is_the_files_sha256(tmp_path: Path) -> None:
    path = written(tmp_path, "x,y\n1,2\n")
    assert checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(DataError, match="no such file"):
        checksum(tmp_path / "none.csv")


def test_a_dataset_is_a_function_of_the_files_content_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    tables = []
    for folder in (first, second):
        folder.mkdir()
        path = written(folder, "x,y\n" + "".join(f"{n},{n * n}\n" for n in range(20)))
        tables.append(build(data("csv", path=path, test=0.25), "mse"))
    np.testing.assert_array_equal(tables[0].x, tables[1].x)
    np.testing.assert_array_equal(tables[0].test_y, tables[1].test_y)
