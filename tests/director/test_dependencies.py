"""Dependencies as an operator writes them down, and plans that keep every one of them, or say which clash."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plans import choices, holds, left, release, satisfiable

from uptane.director.dependencies import (
    MAX_RULES,
    Among,
    Dependency,
    ImageLine,
    Relation,
    read_dependencies,
    read_dependency,
)
from uptane.director.possibilities import EcuChoices, Outcome
from uptane.director.registration import MAX_ECUS
from uptane.director.resolution import MAX_CONFLICTS, _Question, resolve
from uptane.metadata.errors import FormatError, UndecidedError, UnsatisfiableError
from uptane.metadata.identifiers import HardwareIdentifier, PathPattern

new = Outcome.of


@pytest.mark.parametrize(
    "text",
    [
        "brakes.img requires steering.img",
        "brakes/*.img 4.. requires steering/*.img 2..5",
        "brakes/*.img 4 requires steering/*.img ..5 on steer-7",
        "brakes/*.img requires steering/*.img 1 on every steer-7",
        "radio.img ..3 conflicts with gateway.img 7.. on gate",
        "'my radio.img' conflicts with requires on every",
        "a.img requires b.img on every every",
    ],
)
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert str(read_dependency(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.img",
        "a.img requires",
        "a.img needs b.img",
        "a.img conflicts b.img",
        "a.img .. requires b.img",
        "a.img 5..2 requires b.img",
        "a.img 1 2 requires b.img",
        "a.img requires b.img on",
        "a.img conflicts with b.img on every h",
        "a.img requires b.img on any h",
        "a.img requires b.img 99999999999999999999",
        "a.img requires b.img 9999999999999999",
        "/a.img requires b.img",
        "'a.img requires b.img",
        "a.img 1٢ requires b.img",
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        read_dependency(text)


def test_a_file_of_rules_has_comments_and_tells_the_line_of_a_mistake() -> None:
    rules = read_dependencies("# brakes\n\na.img requires b.img  # always\n  b.img conflicts with c.img\n")
    assert [str(rule) for rule in rules] == ["a.img requires b.img", "b.img conflicts with c.img"]
    with pytest.raises(FormatError) as caught:
        read_dependencies("a.img requires b.img\n\nnonsense\n")
    assert caught.value.facts["line"] == 3
    with pytest.raises(FormatError):
        read_dependencies("a.img requires b.img\n" * (MAX_RULES + 1))


def rules(*lines: str) -> tuple[Dependency, ...]:
    """Rules of these lines."""
    return read_dependencies("\n".join(lines))


def clash(lines: tuple[str, ...], *ecus: EcuChoices) -> UnsatisfiableError:
    """There is no plan."""
    with pytest.raises(UnsatisfiableError) as caught:
        resolve(rules(*lines), ecus)
    assert caught.value.code == "E-DEPENDENCY"
    return caught.value


@pytest.mark.standard("STD-5.3.2.1-13")
def test_an_image_goes_out_together_with_what_it_requires() -> None:
    a, b = choices("A", new(release("a", 2))), choices("B", new(release("b", 2)))
    plan = resolve(rules("a.img 2.. requires b.img 2..", "b.img 2.. requires a.img 2.."), [a, b])
    assert {ecu: outcome.directed for ecu, outcome in plan.items()} == {"A": release("a", 2), "B": release("b", 2)}


@pytest.mark.standard("STD-5.3.2.1-13")
def test_an_image_whose_requirement_is_not_met_is_not_directed_and_the_words_say_why() -> None:
    error = clash(
        ("a.img 2.. requires b.img 2..", "x.img requires y.img"),
        choices("A", new(release("a", 2))),
        choices("B", left(release("b", 1))),
    )
    assert error.facts["rules"] == ("a.img 2.. requires b.img 2..",)
    assert "A shall have a.img 2" in error.what
    assert "B has b.img 1" in error.what
    assert "Assign other images" in error.next_step


@pytest.mark.standard("STD-5.3.2.1-13")
def test_two_images_that_conflict_are_not_in_one_vehicle() -> None:
    error = clash(
        ("a.img conflicts with b.img ..1",), choices("A", new(release("a", 2))), choices("B", left(release("b", 1)))
    )
    assert "A shall have a.img 2, while B has b.img 1" in error.what


@pytest.mark.standard("STD-5.3.2.1-13")
def test_a_bundle_is_withheld_until_the_one_before_is_confirmed() -> None:
    """A and B were sent release 2, and have not confirmed it; C must not meet A of release 1."""
    lines = ("c.img 2.. conflicts with a.img ..1",)
    sent = choices("A", left(release("a", 1), release("a", 2))), choices("B", left(release("b", 1), release("b", 2)))
    third = choices("C", new(release("c", 2)))
    error = clash(lines, *sent, third)
    assert "A may have a.img 1 or a.img 2, as it has not confirmed the last one" in error.what
    assert "Wait until the vehicle has reported" in error.next_step
    assert "B " not in error.what
    confirmed = choices("A", left(release("a", 2)))
    assert resolve(rules(*lines), [confirmed, sent[1], third])


def test_an_ecu_is_given_what_another_one_requires_where_it_can_be() -> None:
    b = choices("B", left(release("b", 1)), new(release("b", 2)), new(release("b", 3)))
    a = choices("A", new(release("a", 2)))
    assert resolve(rules("a.img requires b.img 2.."), [a, b])["B"].directed == release("b", 2)
    assert resolve(rules("a.img requires b.img 3.."), [a, b])["B"].directed == release("b", 3)
    assert resolve(rules("x.img requires b.img 3.."), [a, b])["B"].directed is None


def test_every_ecu_of_a_hardware_and_any_of_it_are_different_things() -> None:
    a = choices("A", new(release("a", 1)))
    wheels = [
        choices("W1", left(release("w", 2)), hardware="wheel"),
        choices("W2", left(release("w", 1)), hardware="wheel"),
    ]
    other = choices("O", left(release("w", 9)))
    assert resolve(rules("a.img requires w.img 2.. on wheel"), [a, *wheels, other])
    assert clash(("a.img requires w.img 3.. on wheel",), a, *wheels, other)
    error = clash(("a.img requires w.img 2.. on every wheel",), a, *wheels, other)
    assert "W2 has w.img 1" in error.what and "W1" not in error.what
    assert resolve(rules("a.img requires w.img on every door"), [a, *wheels])
    assert "no other ECU of hardware door" in clash(("a.img requires w.img on door",), a, *wheels).what


def test_an_image_of_unknown_release_is_never_enough_and_always_a_danger() -> None:
    a, b = choices("A", new(release("a", 1))), choices("B", left(release("b")))
    assert "b.img of unknown release" in clash(("a.img requires b.img 1..",), a, b).what
    assert clash(("a.img conflicts with b.img 1..",), a, b)
    assert resolve(rules("a.img requires b.img"), [a, b])


def test_an_ecu_that_never_reported_is_not_enough() -> None:
    a, b = choices("A", new(release("a", 1))), choices("B", left())
    assert "B has not reported anything" in clash(("a.img requires b.img",), a, b).what
    assert resolve(rules("a.img conflicts with b.img"), [a, b])


def test_of_many_rules_only_those_that_clash_are_named() -> None:
    lines = [f"x{n}.img requires a.img" for n in range(40)] + [f"a.img conflicts with z{n}.img" for n in range(40)]
    bad = ("a.img requires b.img", "b.img conflicts with c.img")
    ecus = (
        choices("A", new(release("a", 1))),
        choices("B", left(release("q", 1)), new(release("b", 1))),
        choices("C", left(release("c", 1))),
    )
    error = clash((*lines, bad[0], *lines[:3], bad[1]), *ecus)
    assert set(error.facts["rules"]) == set(bad)  # type: ignore[call-overload]
    assert "“b.img conflicts with c.img”, but B could be given b.img 1, while C has c.img 1" in error.what


def test_of_many_ecus_that_clash_a_few_are_named() -> None:
    wheels = [choices(f"W{n}", left(release("w", 1)), hardware="wheel") for n in range(7)]
    error = clash(("a.img requires w.img 2.. on every wheel",), choices("A", new(release("a", 1))), *wheels)
    assert "W3 has w.img 1 and 3 more ECUs likewise" in error.what


def test_a_choice_that_would_only_move_the_clash_is_told_as_such() -> None:
    either = new(release("a", 1)), new(release("b", 1))
    error = clash(
        ("a.img requires b.img", "b.img requires a.img 2.."), choices("A", *either), choices("B", *either[::-1])
    )
    assert "A shall have a.img 1, and the other rules leave nothing that fulfils it" in error.what


def test_a_hundred_and_fifty_ecus_are_planned_in_a_moment() -> None:
    ecus = [choices(f"E{n}", left(release(f"e{n}", 1)), new(release(f"e{n}", 2)), hardware="h") for n in range(150)]
    ecus[0] = choices("E0", new(release("e0", 2)))
    lines = [f"e{n}.img 2.. requires e{n + 1}.img 2.." for n in range(149)]
    started = time.perf_counter()
    plan = resolve(rules(*lines), ecus)
    assert all(outcome.directed for outcome in plan.values())
    assert time.perf_counter() - started < 30


def test_a_rule_over_a_whole_vehicle_makes_as_many_clauses_as_there_are_ecus() -> None:
    """A clause for each pair would be 65,000 for one rule; a Director may have a thousand rules."""
    lines = ("*.img 1.. conflicts with *.img 2..", "*.img 1.. requires *.img 1.. on every h", "*.img requires *.img")
    ecus = [
        choices(f"E{n}", left(release(f"e{n}", 1)), new(release(f"e{n}", 1)), hardware="h") for n in range(MAX_ECUS)
    ]
    for line in lines:
        with _Question(rules(line), ecus, MAX_CONFLICTS) as question:
            assert question._solver.nof_clauses() < 30 * MAX_ECUS
        assert len(resolve(rules(line), ecus)) == MAX_ECUS


@pytest.mark.standard("STD-5.3.2.1-13")
def test_the_new_image_of_one_ecu_does_not_meet_the_old_one_of_another_while_a_bundle_is_installed() -> None:
    lines = ("radio.img ..3 conflicts with gateway.img 7..",)
    radio = choices("R", new(release("radio", 4), (release("radio", 2),)))
    gateway = choices("G", new(release("gateway", 7), (release("gateway", 6),)))
    error = clash(lines, radio, gateway)
    assert "R may have radio.img 2 until it has radio.img 4, while G shall have gateway.img 7" in error.what
    assert "Assign one of them first" in error.next_step
    mirrored = clash(("gateway.img 7.. conflicts with radio.img ..3",), radio, gateway)
    assert "G shall have gateway.img 7, while R may have radio.img 2 until" in mirrored.what
    assert resolve(rules(*lines), [radio, choices("G", left(release("gateway", 6)))])
    assert resolve(rules(*lines), [choices("R", left(release("radio", 4))), gateway])


def test_old_images_that_conflict_already_do_not_keep_a_vehicle_from_being_mended() -> None:
    lines = ("a.img ..1 conflicts with b.img ..1",)
    a, b = release("a", 1), release("b", 1)
    assert resolve(rules(*lines), [choices("A", new(release("a", 2), (a,))), choices("B", new(release("b", 2), (b,)))])
    assert resolve(rules(*lines), [choices("A", left(a)), choices("B", new(release("b", 2), (b,)))])
    assert clash(lines, choices("A", left(a)), choices("B", left(b)))


def test_a_puzzle_that_takes_too_long_is_given_up_and_not_called_impossible() -> None:
    """Twelve pigeons and eleven holes: small, and hard for every solver of this kind."""
    holes = range(11)
    pigeons = [choices(f"P{n}", *(new(release(f"h{hole}")) for hole in holes)) for n in range(12)]
    lines = [f"h{hole}.img conflicts with h{hole}.img" for hole in holes]
    started = time.perf_counter()
    with pytest.raises(UndecidedError) as caught:
        resolve(rules(*lines), pigeons)
    assert caught.value.facts["conflicts"] == MAX_CONFLICTS
    assert time.perf_counter() - started < 30


def test_a_plan_that_is_known_is_not_given_up_for_the_sake_of_preferences() -> None:
    """With one dead end to spend, some plan is found, or it is said that none was."""
    holes = range(6)
    pigeons = [choices(f"P{n}", *(new(release(f"h{hole}")) for hole in holes)) for n in range(6)]
    given_rules = rules(*(f"h{hole}.img conflicts with h{hole}.img" for hole in holes))
    for conflicts in (1, 2, 5, 50):
        try:
            plan = resolve(given_rules, pigeons, max_conflicts=conflicts)
        except UndecidedError:
            continue
        assert len({outcome.images[0].file.path for outcome in plan.values()}) == 6
    assert resolve(given_rules, pigeons)


def test_the_preferred_outcome_is_left_only_where_no_plan_has_it() -> None:
    either = [choices(name, left(release("old", 1)), new(release("new", 1))) for name in "BC"]
    a = choices("A", new(release("a", 1)))
    plan = resolve(rules("a.img requires new.img"), [a, *either])
    assert [plan[each.ecu].directed for each in either] == [None, release("new", 1)]


names = st.sampled_from(["a", "b", "c"])
hardware = st.sampled_from([None, "h", "g"])
counters = st.none() | st.integers(0, 3)


@st.composite
def some_lines(draw: st.DrawFn) -> ImageLine:
    """An image line."""
    low, high = draw(counters), draw(counters)
    if low is not None and high is not None and low > high:
        low, high = high, low
    pattern = draw(names.map("{}.img".format) | st.just("*.img"))
    return ImageLine(pattern=PathPattern(pattern), lowest=low, highest=high)


@st.composite
def some_rules(draw: st.DrawFn) -> Dependency:
    """A rule."""
    kind = draw(hardware)
    relation = draw(st.sampled_from(list(Relation)))
    every = kind is not None and relation is Relation.REQUIRES and draw(st.booleans())
    return Dependency(
        image=draw(some_lines()),
        relation=relation,
        other=draw(some_lines()),
        hardware=None if kind is None else HardwareIdentifier(kind),
        among=Among.EVERY if every else Among.ANY,
    )


images = st.builds(release, names, counters)
some_images = st.lists(images, max_size=2).map(tuple)
outcomes = st.builds(new, images, some_images) | st.lists(images, max_size=2).map(lambda found: left(*found))
vehicles = st.lists(st.tuples(st.lists(outcomes, min_size=1, max_size=3), hardware), min_size=1, max_size=4).map(
    lambda found: [choices(f"E{n}", *ways, hardware=kind) for n, (ways, kind) in enumerate(found)]
)


@pytest.mark.standard("STD-5.3.2.1-13")
@pytest.mark.standard("STD-5.3.2.1-14")
@settings(max_examples=400)
@given(st.lists(some_rules(), max_size=5), vehicles)
def test_a_plan_breaks_no_rule_in_any_state_and_there_is_none_only_where_there_is_none(
    given_rules: list[Dependency], ecus: list[EcuChoices]
) -> None:
    try:
        plan = resolve(given_rules, ecus)
    except UnsatisfiableError as error:
        assert not satisfiable(given_rules, ecus)
        core = [rule for rule in given_rules if str(rule) in error.facts["rules"]]  # type: ignore[operator]
        assert not satisfiable(core, ecus)
        assert all(satisfiable([rule for rule in core if rule != other], ecus) for other in core)
        assert all(str(rule) in error.what for rule in core)
        return
    assert set(plan) == {each.ecu for each in ecus}
    assert all(plan[each.ecu] in each.outcomes for each in ecus)
    assert holds(given_rules, ecus, plan)


@given(some_rules())
def test_every_rule_can_be_written_down(rule: Dependency) -> None:
    assert read_dependency(str(rule)) == rule
