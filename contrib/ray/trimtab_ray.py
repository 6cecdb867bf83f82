"""Make a Trimtab dry run in parts, as tasks of Ray.

`trimtab policy dry-run --shard K/N` folds one part of the log, and `trimtab policy merge` puts the parts together into
the report of one run. This file starts each part as a Ray task, tries again what may get better, and merges the parts.

It is not a scheduler: Ray decides where and when a part runs. It does not read the log and does not look into a part:
Trimtab does that. It does not bring the program or the data to a node: both must be there already.

On the command line:

    python trimtab_ray.py --parts 8 -- careful --until 2026-11-01

In a program:

    result = trimtab_ray.dry_run(["careful", "--until", "2026-11-01"], parts=8)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, NoReturn, Optional, Sequence, Tuple, Union

RESULTS = (0, 3)
"""Exit codes that are a result: no decision changes; some do."""

MAY_GET_BETTER = (69, 70, 74, 75)
"""Exit codes after which another attempt may help: unreachable, broken, a file or disk problem, data in use."""

USAGE, MISSING, UNAVAILABLE, FILES, NOT_ALLOWED, INTERRUPTED = 64, 66, 69, 74, 77, 130

MOST_PARTS = 64
"""Trimtab has 64 logs, so that there cannot be more parts."""


class UsageError(ValueError):
    """What was asked for cannot be done in parts."""


@dataclass(frozen=True)
class Part:
    """What one part came to."""

    number: int
    report: bytes
    messages: str


@dataclass(frozen=True)
class Failure:
    """Why there is no report. `part` is `2/8`, or `merge`."""

    part: str
    exit_code: int
    node: str
    messages: str

    def __str__(self) -> str:
        what = "`trimtab policy merge`" if self.part == "merge" else f"part {self.part}"
        text = f"error: {what} on {self.node} ended with exit code {self.exit_code}"
        return f"{text}:\n{self.messages.rstrip()}" if self.messages.strip() else text


@dataclass(frozen=True)
class Result:
    """How a dry run ended. `report` is what `trimtab policy merge` wrote to stdout, byte for byte."""

    exit_code: int
    report: bytes
    messages: str
    failure: Optional[Failure] = None


class MayGetBetter(Exception):
    """A part failed, and another attempt may succeed: Ray tries again on this exception and on no other one."""

    @property
    def failure(self) -> Failure:
        return self.args[0]  # type: ignore[no-any-return]


def dry_run(
    policy_args: Sequence[str],
    *,
    parts: Optional[int] = None,
    attempts: int = 5,
    output: Union[str, Path, None] = None,
    trimtab: str = "trimtab",
    address: Optional[str] = None,
    pause: float = 2.0,
) -> Result:
    """Makes a dry run in parts.

    `policy_args` are the arguments of `trimtab policy dry-run`, with `--until` and without `--shard`. Without `parts`
    there are as many as Ray can run at the same time. `output` is a directory of this machine that keeps the parts.
    Ray is started, or joined at `address`, unless this program has done so. Between two attempts there are about
    `pause` seconds. Raises `UsageError` for wrong arguments and `ConnectionError` where Ray cannot be reached.
    """
    for_parts, for_merge = _dealt(policy_args)
    if parts is not None and not 1 <= parts <= MOST_PARTS:
        raise UsageError(f"--parts {parts}: must be from 1 to {MOST_PARTS}")
    if attempts < 1:
        raise UsageError(f"--attempts {attempts}: must be 1 or more")
    workers = _workers(for_parts)
    if workers is None:
        # A part is one task among others: it must not take all cores of its node.
        for_parts, workers = [*for_parts, "--workers", "1"], 1

    ray: Any = importlib.import_module("ray")
    mine = not ray.is_initialized()
    if mine:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    try:
        if __name__ != "__main__":
            # The code goes to the nodes with the task, so that they need no copy of this file.
            ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        # A task that wants more than the largest node has would wait forever.
        cpus = min(workers, max(1, _largest_node(ray.nodes())))
        if parts is None:
            parts = int(min(MOST_PARTS, max(1, ray.cluster_resources().get("CPU", 1) // cpus)))
        task = ray.remote(num_cpus=cpus, max_retries=attempts - 1, retry_exceptions=[MayGetBetter])(_fold)
        command = [trimtab, "policy", "dry-run", *for_parts]
        place = (os.getcwd(), _settings())
        asked = {task.remote(command, number, parts, *place, pause): number for number in range(1, parts + 1)}
        done = _gather(ray, asked, parts)
    finally:
        if mine:
            ray.shutdown()

    if isinstance(done, Failure):
        return Result(done.exit_code, b"", "", done)
    if output is not None:
        return _merge(Path(output), done, [trimtab, "policy", "merge", *for_merge])
    with tempfile.TemporaryDirectory(prefix="trimtab-ray-") as directory:
        return _merge(Path(directory), done, [trimtab, "policy", "merge", *for_merge])


def _fold(
    command: List[str], number: int, of: int, directory: str, settings: Dict[str, str], pause: float
) -> Union[Part, Failure]:
    """The task: folds one part. What cannot get better is returned, what may is raised."""
    part, node = f"{number}/{of}", platform.node()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")}
    if not os.path.isdir(directory):
        return Failure(part, MISSING, node, f"there is no directory `{directory}` on this node")
    try:
        code, report, said = _run([*command, "--shard", part], directory, {**environment, **settings})
        messages = said.decode("utf-8", "replace")
    except FileNotFoundError:
        return Failure(part, MISSING, node, f"there is no program `{command[0]}` on this node")
    except PermissionError as error:
        return Failure(part, NOT_ALLOWED, node, f"`{command[0]}` cannot be run: {error}")
    except OSError as error:
        code, report, messages = FILES, b"", f"`{command[0]}` cannot be run: {error}"
    if code in RESULTS:
        # What the program of an attempt wrote that failed or was killed is nowhere: a part goes back as a value.
        return Part(number, report, messages)
    if code < 0:
        code, messages = 128 - code, f"{messages}killed by signal {-code}\n"
    elif code not in MAY_GET_BETTER:
        return Failure(part, code, node, messages)
    # Parts that found the data in use at the same time do not come back at the same time.
    time.sleep(pause * random.uniform(0.5, 1.5))
    raise MayGetBetter(Failure(part, code, node, messages))


def _run(command: List[str], directory: str, environment: Dict[str, str]) -> Tuple[int, bytes, bytes]:
    """Runs a program to its end, or kills it where the task is cancelled. Returns exit code, stdout and stderr."""
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdin=nothing, stdout=pipe, stderr=pipe
    ) as process:
        try:
            while True:
                try:
                    report, said = process.communicate(timeout=0.5)
                    return process.returncode, report, said
                except subprocess.TimeoutExpired:
                    # Python is told that the task is cancelled between two steps, not while it waits.
                    continue
        except BaseException:
            process.kill()
            raise


def _gather(ray: Any, asked: Dict[Any, int], of: int) -> Union[List[Part], Failure]:
    """Waits for all parts, or for the first failure that is final; then the other parts are cancelled."""
    done: List[Part] = []
    waiting = list(asked)
    try:
        while waiting:
            ready, waiting = ray.wait(waiting)
            number = asked[ready[0]]
            try:
                part = ray.get(ready[0])
            except MayGetBetter as error:
                # Ray raises its own exception, which is one of this class, too.
                failure: Failure = getattr(error, "cause", error).failure
                return failure
            except ray.exceptions.RayTaskError:
                raise
            except ray.exceptions.RayError as error:
                # A worker or a node was lost, at every attempt.
                return Failure(f"{number}/{of}", UNAVAILABLE, "Ray", str(error))
            if isinstance(part, Failure):
                return part
            done.append(part)
        return sorted(done, key=lambda part: part.number)
    finally:
        for reference in waiting:
            ray.cancel(reference)


def _merge(directory: Path, parts: List[Part], command: List[str]) -> Result:
    """Writes the parts, each whole or not at all, and merges them."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for part in parts:
        file = directory / f"part-{part.number}-of-{len(parts)}.json"
        with tempfile.NamedTemporaryFile(dir=directory, prefix=f".{file.name}-", delete=False) as whole:
            try:
                whole.write(part.report)
                whole.flush()
                os.fsync(whole.fileno())
                os.replace(whole.name, file)
            except BaseException:
                os.unlink(whole.name)
                raise
        files.append(str(file.absolute()))
    try:
        ended = subprocess.run([*command, *files], stdin=subprocess.DEVNULL, capture_output=True)
    except FileNotFoundError:
        said = f"there is no program `{command[0]}`"
        return Result(MISSING, b"", "", Failure("merge", MISSING, "this machine", said))
    messages = ended.stderr.decode("utf-8", "replace")
    said = "".join(_once([part.messages for part in parts]))
    code = ended.returncode if ended.returncode >= 0 else 128 - ended.returncode
    if code not in RESULTS:
        return Result(code, ended.stdout, said, Failure("merge", code, "this machine", messages))
    return Result(code, ended.stdout, said + messages)


def _once(messages: List[str]) -> List[str]:
    """Every line that parts wrote to stderr once: most parts say the same, at another time."""
    lines: Dict[str, str] = {}
    for line in "".join(messages).splitlines(keepends=True):
        lines.setdefault(re.sub(r"^\d{4}-\d\d-\d\dT\S+\s+", "", line), line)
    return list(lines.values())


def _dealt(policy_args: Sequence[str]) -> Tuple[List[str], List[str]]:
    """The arguments for the parts and those for the merge: how a report is shown is up to the merge."""
    for_parts: List[str] = []
    for_merge: List[str] = []
    rest = iter(policy_args)
    until = False
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if name == "--shard":
            raise UsageError("--shard: leave it out, every part gets its own; --parts says how many there are")
        if argument == "--json":
            for_merge.append(argument)
        elif name in ("--html", "--examples"):
            for_merge.append(argument)
            for_merge += [] if equals else _value(name, rest)
        elif name == "--until":
            until = True
            for_parts.append(argument)
            for_parts += [] if equals else _value(name, rest)
        else:
            for_parts.append(argument)
    if not until:
        raise UsageError(
            "--until is missing: a part needs it, so that all parts are about the same decisions; "
            "add a time after POLICY, such as --until 2026-11-01"
        )
    return for_parts, for_merge


def _value(name: str, rest: Any) -> List[str]:
    for value in rest:
        return [value]
    raise UsageError(f"{name}: its value is missing")


def _workers(policy_args: Sequence[str]) -> Optional[int]:
    """The value of --workers. One that is no number is for Trimtab to refuse."""
    for at, argument in enumerate(policy_args):
        name, equals, value = argument.partition("=")
        if name == "--workers":
            value = value if equals else "".join(policy_args[at + 1 : at + 2])
            return max(1, int(value)) if value.isdecimal() else 1
    return None


def _largest_node(nodes: List[Dict[str, Any]]) -> int:
    return max((int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"]), default=0)


def _settings() -> Dict[str, str]:
    """The settings of Trimtab in this environment, such as TRIMTAB_DATA: they count on every node, and no others."""
    return {name: value for name, value in os.environ.items() if name.startswith("TRIMTAB_")}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"error: {message}\n\n{self.format_usage()}")


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """The command line. Returns the exit code."""
    parser = _Parser(
        prog="trimtab_ray.py",
        usage="python trimtab_ray.py [--parts N] [--attempts N] [--output DIR] [--trimtab PATH] [--address ADDR] "
        "-- POLICY --until TIME [flags of `trimtab policy dry-run`]",
        description="Make a Trimtab dry run in parts, as tasks of Ray, and print the report of one run.",
        epilog="Exit codes are those of trimtab: 0, no decision changes; 3, decisions change; others, see README.md.",
        allow_abbrev=False,
    )
    for flag, kind, default, metavar, text in (
        ("--parts", int, None, "N", "how many parts, from 1 to 64 (default: as many as Ray can run at the same time)"),
        ("--attempts", int, 5, "N", "how often a part is tried at most, where that may help (default: 5)"),
        ("--output", str, None, "DIR", "keep the parts in this directory of this machine (default: they are removed)"),
        ("--trimtab", str, "trimtab", "PATH", "the program, the same path on each node (default: trimtab, by PATH)"),
        ("--address", str, None, "ADDR", "the Ray cluster, as ray.init takes it; `local` starts Ray on this machine"),
    ):
        parser.add_argument(flag, type=kind, default=default, metavar=metavar, help=text)
    given = list(sys.argv[1:] if arguments is None else arguments)
    cut = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:cut])
    report = sys.stdout.buffer
    # Stdout is for the report alone; Ray also writes there, such as that it tries again.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            if cut == len(given):
                raise UsageError("`--` is missing: write POLICY and the flags of `trimtab policy dry-run` after it")
            result = dry_run(
                given[cut + 1 :],
                parts=options.parts,
                attempts=options.attempts,
                output=options.output,
                trimtab=options.trimtab,
                address=options.address,
            )
        except UsageError as error:
            parser.error(str(error))
        except ImportError as error:
            print(f"error: Ray cannot be loaded ({error}); install it: pip install ray")
            return UNAVAILABLE
        except ConnectionError as error:
            print(f"error: Ray cannot be reached: {error}")
            return UNAVAILABLE
        except OSError as error:
            print(f"error: {error}")
            return FILES
        except KeyboardInterrupt:
            return INTERRUPTED
        print(result.messages, end="")
        if result.failure is not None:
            print(result.failure)
        sys.stdout.flush()
        report.write(result.report)
        report.flush()
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
