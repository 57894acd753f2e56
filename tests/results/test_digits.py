"""Numbers as rows of text: the fewest digits that read back to the same bits."""

import numpy as np
import pytest

from momentumlab.results.digits import rows

EDGES = [0.0, -0.0, 1.0, -1.0, 0.1, 0.3, 1 / 3, 1e-4, 9.9999e-5, 99999999.0, 1e8, 16777216.0, 61312312.0]
EDGES += [1e16, 1e-45, 3.4028235e38, np.nan, np.inf, -np.inf]


def texts(values):
    return rows([values]).decode().splitlines()


def numbers(dtype):
    """Numbers of every size and with every number of digits, and, of float32, of random bits."""
    random = np.random.default_rng(0)
    spread = random.standard_normal(20_000) * 10.0 ** random.integers(-8, 10, 20_000)
    short = random.integers(-(10**6), 10**6, 20_000) / 10.0 ** random.integers(0, 7, 20_000)
    whole = random.integers(-1000, 1000, 2_000)
    bits = random.integers(0, 2**32, 20_000).astype(np.uint32).view(np.float32)
    with np.errstate(invalid="ignore"):  # signalling nans
        return np.concatenate([spread, short, whole, EDGES, bits if dtype == "float32" else []]).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_column_reads_back_to_the_same_bits(dtype):
    values = numbers(dtype)
    back = np.array([float(text) for text in texts(values)]).astype(dtype)
    same = (back == values) & (np.signbit(back) == np.signbit(values))
    assert np.all(same | (np.isnan(back) & np.isnan(values)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_has_no_more_digits_than_each_number_alone(dtype):
    values = numbers(dtype)

    def digits(text):
        return len(text.partition("e")[0].replace(".", "").strip("-").lstrip("0").rstrip("0"))

    # Python's repr is the shortest of a float64, numpy's of a float32.
    alone = map(repr, values.tolist()) if dtype == "float64" else values.astype(str).tolist()
    longer = [pair for pair in zip(texts(values), alone, strict=True) if digits(pair[0]) > digits(pair[1])]
    # The arithmetic may give one digit more where rounding twice could differ; of three million numbers it never did.
    assert longer == []


@pytest.mark.parametrize("values", [[0, 7, -7, 10, 999, 10**12], [0], [2**53]])
def test_whole_numbers(values):
    assert [int(float(text)) for text in texts(np.array(values))] == values
    assert texts(np.array(values[:5])) == [str(value) for value in values[:5]]


def test_rows_are_lines_of_csv():
    columns = [np.array([3, 4]), np.array([0.5, np.nan]), np.array([-1.25, 1e-9], np.float32)]
    assert rows(columns) == b"3,0.5,-1.25\n4,nan,1e-9\n"
    assert rows([column[:0] for column in columns]) == b""


def test_nothing_but_a_last_zero_is_left_out():
    assert texts(np.array([10.0, 100.05, 1e300, -0.0, 5e-324])) == ["10", "100.05", "1e+300", "-0", "5e-324"]
