"""The work rhythm that is derived from a git history is the one that `git log` tells, computed without any of
our code: hours and weekdays exactly, quantiles within the one percent of their sketch."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from personakit.cli.git_history import commits_by_author, open_repository
from personakit.cli.git_import import import_git
from personakit.domain.computed_traits import Observed, load_computed_traits
from personakit.domain.traits import Trait
from personakit.shipped import computed_traits_dir
from personakit_sdk.rules.yaml import load_yaml
from tests.unit.cli.conftest import BatchService, GitRepository, bare

ROOT = Path(__file__).parents[3]
GAP, LEAD_IN = 120 * 60, 30 * 60
HALF_LIFE = 60 * 86_400
HAIR = 1e-4
"""Of the whole weight: weights are exact to a millionth each, so that a rank may fall on a neighbour."""


def made(repository: GitRepository) -> Path:
    """Half a year of somebody who travels: 700 commits, on a branch too, in six zones."""
    random, lines, at = Random(3), [], 1_750_000_000
    for number in range(700):
        at += round(random.expovariate(1 / 22_000))
        zone = random.choice(["+0100", "+0200", "-0800", "+0545", "-0330", "+1300"])
        text = "\n".join(f"{number} {line}" for line in range(round(random.lognormvariate(3, 1.2)))) + "\n"
        lines += [
            f"commit refs/heads/main\nauthor Ann <ann@example.org> {at} {zone}",
            "committer Ann <ann@example.org> 0 +0000\ndata 1\nx",
            f"M 644 inline {random.choice('abcde')}.py\ndata {len(text)}\n{text}",
        ]
    repository.git("fast-import", "--quiet", told="\n".join(lines).encode())
    repository.git("reset", "--hard", "--quiet")
    repository.git("switch", "--quiet", "--create", "side", "HEAD~5")
    repository.put("side.py", "print()\n")
    repository.commit(f"{at + 60} +0200")
    repository.git("switch", "--quiet", "main")
    repository.git(
        *("merge", "--quiet", "--no-ff", "-m", "x", "side"),
        GIT_AUTHOR_DATE=f"{at + 120} +0200",
        GIT_AUTHOR_EMAIL="ann@example.org",
    )
    return repository.path


def own(_: GitRepository) -> Path:
    """That of this very project."""
    return ROOT


HISTORIES = [made, own] if (ROOT / ".git").exists() else [made]
"""A copy of the sources without a history has none of its own to look at."""


class Log:
    """What `git log` says of a repository."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.told = [line.split() for line in self.lines("--format=%at %ad", "--date=format:%H %u")]
        self.seconds = sorted(int(second) for second, _, _ in self.told)

    def lines(self, *arguments: str) -> list[str]:
        command = ("git", "-C", str(self._path), "log", *arguments)
        done = subprocess.run(command, capture_output=True, check=True, env=bare())
        return done.stdout.decode().splitlines()

    def counts(self, field: int, slots: Sequence[str]) -> list[int]:
        found = Counter(line[field] for line in self.told)
        return [found[slot] for slot in slots]

    def sizes(self) -> list[int]:
        """Lines added and deleted by each commit that is no merge."""
        sizes: list[int] = []
        for line in self.lines("--no-merges", "--numstat", "--format=tformat:@"):
            if line == "@":
                sizes.append(0)
            elif line:
                sizes[-1] += sum(int(count) for count in line.split("\t")[:2] if count != "-")
        return sizes

    def sessions(self) -> list[tuple[int, float]]:
        """When each stretch of work began and how many minutes it took, half an hour before it included."""
        breaks = [n for n, (a, b) in enumerate(pairwise(self.seconds), 1) if b - a > GAP]
        parts = [self.seconds[start:end] for start, end in pairwise([0, *breaks, len(self.seconds)])]
        return [(part[0] - LEAD_IN, round((part[-1] - part[0] + LEAD_IN) / 60)) for part in parts]


def derived(path: Path, log: Log, service: BatchService, transport: Any) -> Mapping[str, Trait]:
    """The traits after an import of everybody's commits, in whatever order the answers come."""
    now = datetime.fromtimestamp(log.seconds[-1], UTC) + timedelta(days=1)
    everybody = list(commits_by_author(open_repository(path)))
    import_git(transport, path, everybody, "ann", now=now, report=lambda *_: None)
    observed = [
        Observed(item["id"], item["type"], item["content"], datetime.fromisoformat(item["occurredAt"]))
        for item in service.observations.values()
    ]
    folder = computed_traits_dir()
    rules = load_computed_traits(load_yaml(each.read_text("utf-8")) for each in sorted(folder.glob("*.yaml")))
    return rules.fold({}, observed)


def within(shown: float, weighted: Sequence[tuple[float, float]], share: float) -> bool:
    """Whether `shown` is the quantile of these values with weights, within one percent."""
    total, below = sum(weight for _, weight in weighted), 0.0
    fits = []
    for value, weight in sorted(weighted):
        if below <= (share + HAIR) * total and below + weight >= (share - HAIR) * total:
            fits.append(abs(shown - value) <= 0.0101 * value)
        below += weight
    return any(fits)


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
def test_the_rhythm_is_the_one_that_git_tells(
    history: Callable[[GitRepository], Path],
    repository: GitRepository,
    service: BatchService,
    transport: Any,
) -> None:
    path = history(repository)
    log = Log(path)
    traits = derived(path, log, service, transport)
    assert traits["work.commits"].value == len(log.told) > 100
    assert traits["work.commit_hours"].value["counts"] == log.counts(1, [f"{n:02}" for n in range(24)])
    assert traits["work.commit_days"].value["counts"] == log.counts(2, "1234567")
    sizes = [(size, 1.0) for size in log.sizes()]
    sessions = log.sessions()
    newest = sessions[-1][0]
    minutes = [(length, 2 ** ((began - newest) / HALF_LIFE)) for began, length in sessions]
    assert traits["work.sessions"].value == len(sessions)
    focus = traits["work.focus_duration"]
    assert focus.visible == (len(sessions) >= 3)  # a young project has fewer
    for name, share in (("p50", 0.5), ("p90", 0.9)):
        assert within(traits["work.commit_size"].value[name], sizes, share)
        assert not focus.visible or within(focus.value[name], minutes, share)
