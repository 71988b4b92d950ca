"""Every row of a file is judged on its own, with its line and a reason."""

from __future__ import annotations

import pytest

from labelwise.errors import InputError
from labelwise.events import Answered, Asked, Opened, Plan, State, replay
from labelwise.project.answers import Classes, Judged, check_class_names, judge
from labelwise.project.sheet import read_lines

BIRDS = Classes(("robin", "wren", "other"))


def a_state(*answers: Answered) -> State:
    """Samples 10 to 19 were asked for."""
    opened = Opened(Plan(start=10, budget=50), {}, {}, {"pool": 50}, {})
    return replay([opened, Asked(0, tuple(range(10, 20))), *answers])


def judged(text: str, *answers: Answered, correct: bool = False, annotator: str = "") -> Judged:
    lines = read_lines(text.encode(), "x.csv", ("id", "label"))
    return judge(lines, a_state(*answers), BIRDS, 50, annotator=annotator, correct=correct)


def good(result: Judged) -> list[tuple[int, int | None]]:
    return [(answer.id, answer.label) for _, answer in result.good]


def test_a_label_is_a_name_in_any_case_a_number_or_a_pass():
    result = judged("id,label\n10,robin\n11,WREN\n12,2\n13,pass\n14,?\n15,1.0\n16.0,Robin\n17,Pass\n")
    assert good(result) == [(10, 0), (11, 1), (12, 2), (13, None), (14, None), (15, 1), (16, 0), (17, None)]
    assert result.refused == ()


def test_an_empty_label_is_not_answered_yet():
    result = judged("id,label\n10,\n11,robin\n12\n")
    assert (good(result), result.skipped) == ([(11, 0)], 2)


@pytest.mark.parametrize(
    "row, why",
    [
        ("10,robbin", "'robbin' is no class. Did you mean 'robin'? Known: other, robin, wren."),
        ("10,3", "'3' is no class. Known: other, robin, wren."),
        ("10,-1", "'-1' is no class. Known: other, robin, wren."),
        ("30,robin", "Sample 30 was never asked for."),
        ("50,robin", "No sample has the id '50'; ids run from 0 to 49."),
        ("-1,robin", "No sample has the id '-1'; ids run from 0 to 49."),
        ("ten,robin", "No sample has the id 'ten'; ids run from 0 to 49."),
        ("1e1,robin", "No sample has the id '1e1'; ids run from 0 to 49."),
        ("99999999999999999999,robin", "No sample has the id '99999999999999999999'; ids run from 0 to 49."),
        (",robin", "The row has a label and no id."),
        ("10,robin,or so", "The row holds 1 more cells than the header; is a text with a comma unquoted?"),
    ],
)
def test_a_wrong_row_is_refused_with_line_and_reason_and_the_others_are_kept(row: str, why: str):
    result = judged(f"id,label\n11,wren\n{row}\n12,wren\n")
    assert good(result) == [(11, 1), (12, 1)]
    assert [(r.line, r.why) for r in result.refused] == [(3, why)]


def test_a_sample_answered_twice_alike_is_a_duplicate():
    result = judged("id,label\n10,robin\n11,wren\n10,0\n")
    assert good(result) == [(10, 0), (11, 1)]
    assert [(r.line, r.why) for r in result.refused] == [
        (4, "Sample 10 was already answered on line 2 of this file.")
    ]


def test_rows_that_contradict_each_other_are_all_refused():
    result = judged("id,label\n10,robin\n11,wren\n10,pass\n")
    assert good(result) == [(11, 1)]
    words = (
        "The file contradicts itself about sample 10: line 2 says 'robin' and line 4 says a pass. "
        "Keep the right one."
    )
    assert [(r.line, r.why) for r in result.refused] == [(2, words), (4, words)]


def test_an_answer_that_is_known_is_neither_recorded_again_nor_refused():
    result = judged("id,label\n10,robin\n11,pass\n", Answered(10, 0), Answered(11, None))
    assert (result.good, result.refused, result.known) == ((), (), 2)


def test_another_answer_than_the_recorded_one_needs_to_be_called_a_correction():
    result = judged("id,label\n10,wren\n", Answered(10, 0, "ada"))
    assert [r.why for r in result.refused] == [
        "Sample 10 was already told as 'robin' by ada; tell the file with --correct to change it."
    ]
    assert good(judged("id,label\n10,wren\n", Answered(10, 0, "ada"), correct=True)) == [(10, 1)]


def test_the_annotator_of_a_row_goes_before_that_of_the_file():
    result = judged("id,label,annotator,seconds\n10,robin,bob,1.5\n11,wren,,soon\n", annotator="ada")
    assert [(a.annotator, a.seconds) for _, a in result.good] == [("bob", 1.5), ("ada", None)]


def test_where_classes_are_called_by_numbers_a_number_is_only_a_name():
    ratings = Classes(("1", "2", "3"))
    assert (ratings.read("1"), ratings.read("3.0")) == (0, 2)
    with pytest.raises(InputError, match="'0' is no class"):
        ratings.read("0")


def test_names_that_differ_in_case_only_must_be_written_exactly():
    classes = Classes(("IT", "it"))
    assert (classes.read("IT"), classes.read("it")) == (0, 1)
    with pytest.raises(InputError, match="'It' is no class"):
        classes.read("It")


@pytest.mark.parametrize(
    "names, words",
    [
        (["robin"], "at least two"),
        (["robin", "wren", "robin "], "'robin' is given 2 times"),
        (["robin", ""], "is empty"),
        (["robin", "Pass"], "No class may be called 'Pass'"),
        (["robin", "?"], "No class may be called"),
    ],
)
def test_class_names_are_checked(names: list[str], words: str):
    with pytest.raises(InputError, match=r"(?i)class") as caught:
        check_class_names(names)
    assert words in str(caught.value)
