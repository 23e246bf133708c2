"""In which order tasks are run: nothing is trained twice at a time, nothing compiled twice."""

from dataclasses import dataclass, field

from intaglio.sweeping.engine import Waves
from intaglio.sweeping.space import Space
from intaglio.sweeping.trial import Compiled, Outcome, trained_part
from intaglio.sweeping.workers import Died

TRAINED = [
    {"name": "canonicalize"},
    {"name": "magnitude", "target": {"rate": "$rate"}},
    {"name": "quantize", "weight_bits": "$bits"},
    {"name": "lower"},
]


def space_of(passes):
    choices = {
        "rate": {"2": 2.0, "4": 4.0},
        "bits": {"8": 8, "4": 4},
        "sram": {"small": 4096, "large": 8192},
    }
    memories = {"SRAM": "$sram"}
    return Space(
        "s.toml", choices, "r", {"r": passes}, "smallest", "edge-npu", memories, ("bytes",)
    )


@dataclass
class Recorded:
    """Workers that only say what they were given; some tasks fail or kill them."""

    fails: set[int] = field(default_factory=set)
    kills: set[int] = field(default_factory=set)
    waves: list[list[int]] = field(default_factory=list)
    given: dict[int, Compiled | None] = field(default_factory=dict)

    def run(self, jobs):
        self.waves += [[job.number for job in jobs]] if jobs else []
        for job in reversed(jobs):
            self.given[job.number] = job.compiled
            said = (job.number, job.choices, job.recipe, job.storage)
            if job.number in self.kills:
                yield job, Died("signal SIGKILL")
            elif job.number in self.fails:
                yield job, Outcome(*said, error="It fails.")
            else:
                yield job, Outcome(*said, compiled=Compiled(bytes([job.number]), 1, 1))


def outcomes(workers, numbers=range(8), passes=TRAINED, found=None):
    made = list(Waves(space_of(passes), workers).run(numbers, found or {}))
    assert sorted(each.number for each in made) == sorted(numbers)
    return {each.number: each for each in made}


def test_what_trains_alike_waits_for_the_first_and_hardware_for_the_network():
    workers = Recorded()
    outcomes(workers)
    assert workers.waves == [[0, 4], [2, 6], [1, 3, 5, 7]]
    assert workers.given[3] == Compiled(bytes([2]), 1, 1)
    assert workers.given[2] is None


def test_without_training_all_networks_are_compiled_at_once():
    workers = Recorded()
    outcomes(
        workers, passes=[{"name": "canonicalize"}, {"name": "quantize", "weight_bits": "$bits"}]
    )
    assert workers.waves == [[0, 2], [1, 3, 4, 5, 6, 7]]


def test_a_network_of_another_batch_is_not_compiled_again():
    first = outcomes(Recorded(), [0])
    workers = Recorded()
    outcomes(workers, [1, 2], found=first)
    assert workers.waves == [[2], [1]]
    assert workers.given[1] == Compiled(bytes([0]), 1, 1)


def test_what_fails_fails_once_and_the_next_of_its_kind_goes_first():
    workers = Recorded(fails={0}, kills={4})
    made = outcomes(workers)
    assert workers.waves == [[0, 4], [2, 6], [3, 7]]
    assert made[1].error == made[0].error == "It fails."
    assert made[5].error == made[4].error == Died("signal SIGKILL").message
    assert all(made[each].compiled for each in (2, 3, 6, 7))


def test_a_combination_that_means_nothing_fails_by_itself():
    passes = [*TRAINED[:1], {"name": "quantize", "weight_bits": "$rate"}]
    workers = Recorded()
    made = outcomes(workers, passes=passes)
    assert workers.waves == []
    assert "weight_bits" in made[0].error


def test_the_trained_part_ends_with_the_last_pass_that_trains():
    recipe = 'canonicalize,magnitude{"retrain": 2},purify,qat{"epochs": 1},lower'
    assert trained_part(recipe) == 'canonicalize,magnitude{"retrain": 2},purify,qat{"epochs": 1}'
    assert trained_part("canonicalize,quantize,lower") == ""
