"""Numbers go to CSV and come back to the same bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from momentumlab.errors import ResultError
from momentumlab.results.table import read_numbers, read_table, rows_text, table_text, texts


@given(st.sampled_from([np.float32, np.float64]).flatmap(lambda dtype: arrays(dtype, st.integers(1, 20))))
def test_every_number_reads_back_to_the_same_bits_of_its_dtype(values):
    text = rows_text({"run": np.arange(len(values)), "loss": values}, ["run", "loss"])
    back = read_numbers(f"run,loss\n{text.decode()}", "metrics.csv")["loss"].astype(values.dtype)
    missing = np.isnan(values)
    np.testing.assert_array_equal(
        back[~missing].view(f"u{values.itemsize}"), values[~missing].view(f"u{values.itemsize}")
    )
    assert np.isnan(back[missing]).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.0, "1"), (0.1, "0.1"), (-0.0, "-0"), (1e-6, "1e-6"), (1e-5, "0.00001"), (1e22, "1e+22"), (np.nan, "nan")],
)
def test_a_number_takes_the_fewest_digits(value, text):
    assert texts(np.array([value])) == [text]
    assert texts(np.array([value], np.float32)) == [text]


def test_an_absent_column_is_nan_and_the_header_decides_the_order():
    assert rows_text({"b": np.array([1.5, 2]), "a": np.array([3, 4])}, ["a", "c", "b"]) == b"3,nan,1.5\n4,nan,2\n"


def test_a_line_that_is_still_being_written_is_left_out():
    columns = read_numbers("run,loss\n0,1.5\n0,0.12", "metrics.csv")
    assert columns["loss"].tolist() == [1.5]
    assert columns["run"].dtype == np.int64


def test_a_file_without_rows_has_its_columns():
    assert {name: len(values) for name, values in read_numbers("run,loss\n", "m").items()} == {"run": 0, "loss": 0}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "m.csv:1"),
        ("run,loss\n0,1\n0\n", "m.csv:3: 1 fields, expected 2"),
        ("run,loss\n0,1\n0,=cmd\n", "m.csv:3: '=cmd' is not a number"),
        ("run,run\n0,1\n", "m.csv:1"),
        ("run,step,loss\n0,0,nan\n0,nan,1\n", "m.csv:3: step: got 'nan', must be a whole number"),
        ("run,step,loss\n0,0,nan\n0.5,1,1\n", r"m.csv:3: run: got '0\.5', must be a whole number"),
        ("run,step\ninf,1\n", "m.csv:2: run: got 'inf', must be"),
        ("run,step\n0,1e300\n", "m.csv:2: step: got '1e300', must be"),
    ],
)
def test_a_damaged_metrics_file_is_named_with_its_line(text, words):
    with pytest.raises(ResultError, match=words):
        read_numbers(text, "m.csv")


def test_words_and_numbers_of_a_small_table_come_back():
    text = table_text({"run": [0, 1], "gamma": [0.0, 0.9], "status": ["finished", 'a "b", c']})
    assert text.splitlines()[1] == "0,0,finished"
    back = read_table(text, "runs.csv")
    assert back["gamma"].tolist() == [0, 0.9]
    assert back["status"].tolist() == ["finished", 'a "b", c']
    with pytest.raises(ResultError, match=r"runs\.csv:2: 1 fields, expected 2"):
        read_table("run,status\n0\n", "runs.csv")


def test_a_table_read_in_parts_is_the_table(monkeypatch):
    rows = [f"{run},{run / 8},{'' if run == 5 else run},finished" for run in range(9)]
    text = "\n".join(["run,gamma,varied,status", *rows, ""])
    whole = read_table(text, "runs.csv")
    monkeypatch.setattr("momentumlab.results.table._ROWS_AT_ONCE", 2)
    parts = read_table(text, "runs.csv")
    assert {name: values.dtype for name, values in parts.items()} == {name: whole[name].dtype for name in whole}
    assert [values.tolist() for values in parts.values()] == [values.tolist() for values in whole.values()]
    assert parts["varied"].tolist()[4:7] == ["4", "", "6"]  # words throughout, though the first are numbers
    with pytest.raises(ResultError, match=r"runs\.csv:9: 1 fields, expected 4"):
        read_table(text.replace("7,0.875,7,finished", "7"), "runs.csv")
