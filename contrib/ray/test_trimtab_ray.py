"""Tests of trimtab_ray.py with a real Ray and a real Trimtab.

    python test_trimtab_ray.py TRIMTAB DATA POLICY UNTIL

or `python -m unittest test_trimtab_ray` with TRIMTAB, TRIMTAB_DATA, TRIMTAB_POLICY and TRIMTAB_UNTIL set.
TRIMTAB is the program, DATA a data directory in which decisions were made before UNTIL. POLICY is what is tried; it may
be flags, such as "--set drift-ladder.act-exposure=0.3".
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, List

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray  # noqa: E402

import trimtab_ray  # noqa: E402

HERE = Path(__file__).resolve().parent
NAMES = ("TRIMTAB", "TRIMTAB_DATA", "TRIMTAB_POLICY", "TRIMTAB_UNTIL")

# Stands in for trimtab. It counts the attempts of each part, plays a trick, and then is trimtab.
STAND_IN = """#!/bin/sh
[ "$2" = merge ] && exec {trimtab} "$@"
for part; do :; done
part=$(printf %s "$part" | tr / -)
echo "$$" >> {counts}/"$part"
attempt=$(wc -l < {counts}/"$part")
{trick}
exec {trimtab} "$@"
"""


class DryRuns(unittest.TestCase):
    trimtab: str
    flags: List[str]
    expected: subprocess.CompletedProcess[bytes]

    @classmethod
    def setUpClass(cls) -> None:
        missing = [name for name in NAMES if not os.environ.get(name)]
        if missing:
            raise RuntimeError(f"not set: {', '.join(missing)}; see the top of {Path(__file__).name}")
        trimtab, data, policy, until = (os.environ[name] for name in NAMES)
        cls.trimtab = str(Path(trimtab).absolute())
        cls.flags = [*shlex.split(policy), "--data", str(Path(data).absolute()), "--until", until]
        cls.expected = cls.one_run()
        if cls.expected.returncode not in (0, 3):
            raise RuntimeError(f"one run ends with {cls.expected.returncode}: {cls.expected.stderr.decode()}")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)

    @classmethod
    def tearDownClass(cls) -> None:
        ray.shutdown()

    @classmethod
    def one_run(cls, *flags: str) -> subprocess.CompletedProcess[bytes]:
        command = [cls.trimtab, "policy", "dry-run", *cls.flags, *flags]
        return subprocess.run(command, capture_output=True, check=False)

    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix="trimtab-ray-test-")
        self.addCleanup(directory.cleanup)
        self.scratch = Path(directory.name)

    def in_parts(self, parts: int, *flags: str, **options: Any) -> trimtab_ray.Result:
        options = {"trimtab": self.trimtab, "pause": 0.2, "attempts": 3, **options}
        return trimtab_ray.dry_run([*self.flags, *flags], parts=parts, **options)

    def stand_in(self, trick: str) -> str:
        counts = self.scratch / "counts"
        counts.mkdir()
        file = self.scratch / "stand-in"
        trimtab = shlex.quote(self.trimtab)
        file.write_text(STAND_IN.format(trimtab=trimtab, counts=shlex.quote(str(counts)), trick=trick))
        file.chmod(0o755)
        return str(file)

    def attempts(self, part: str) -> int:
        file = self.scratch / "counts" / part.replace("/", "-")
        return len(file.read_text().splitlines()) if file.exists() else 0

    def assert_same(self, result: trimtab_ray.Result) -> None:
        self.assertIsNone(result.failure, str(result.failure))
        self.assertEqual(result.report, self.expected.stdout)
        self.assertEqual(result.exit_code, self.expected.returncode)

    def command_line(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, str(HERE / "trimtab_ray.py"), *arguments]
        return subprocess.run(command, capture_output=True, check=False)

    def test_the_report_is_that_of_one_run_for_any_number_of_parts(self) -> None:
        for parts in (1, 3, 7):
            with self.subTest(parts=parts):
                self.assert_same(self.in_parts(parts))

    def test_flags_of_the_report_go_to_the_merge(self) -> None:
        one, merged = self.scratch / "one.html", self.scratch / "merged.html"
        expected = self.one_run("--json", "--examples", "1", f"--html={one}")
        result = self.in_parts(2, "--json", "--examples", "1", "--html", str(merged))
        self.assertIsNone(result.failure, str(result.failure))
        self.assertEqual(result.report, expected.stdout)
        self.assertEqual(merged.read_bytes(), one.read_bytes())

    def test_the_command_line_prints_the_report_and_nothing_else(self) -> None:
        address = ray.get_runtime_context().gcs_address
        kept = self.scratch / "parts"
        # Ray says that it tries again, and would do so on stdout.
        trimtab = self.stand_in('[ "$attempt" -eq 1 ] && { echo "in use, on purpose" >&2; exit 75; }')
        ended = self.command_line(
            "--parts", "2", "--trimtab", trimtab, "--address", address, "--output", str(kept), "--", *self.flags
        )
        self.assertEqual(ended.stdout, self.expected.stdout, ended.stderr.decode())
        self.assertEqual(ended.returncode, self.expected.returncode)
        self.assertEqual(sorted(os.listdir(kept)), ["part-1-of-2.json", "part-2-of-2.json"])

    def test_data_in_use_is_tried_again(self) -> None:
        trimtab = self.stand_in('[ "$attempt" -le 2 ] && { echo "in use, on purpose" >&2; exit 75; }')
        self.assert_same(self.in_parts(3, trimtab=trimtab))
        self.assertEqual([self.attempts(f"{number}/3") for number in (1, 2, 3)], [3, 3, 3])

    def test_data_that_stay_in_use_are_reported_after_the_last_attempt(self) -> None:
        trimtab = self.stand_in('echo "in use, on purpose" >&2; exit 75')
        result = self.in_parts(1, trimtab=trimtab, attempts=2)
        self.assertEqual((result.exit_code, result.report), (75, b""))
        self.assertEqual(self.attempts("1/1"), 2)
        self.assertIn("part 1/1", str(result.failure))
        self.assertIn("in use, on purpose", str(result.failure))

    def test_wrong_data_are_asked_once_and_end_it(self) -> None:
        trimtab = self.stand_in('[ "$part" = 1-3 ] || exec sleep 60; sleep 2; echo "wrong, on purpose" >&2; exit 65')
        address = ray.get_runtime_context().gcs_address
        begun = time.monotonic()
        ended = self.command_line("--parts", "3", "--trimtab", trimtab, "--address", address, "--", *self.flags)
        self.assertLess(time.monotonic() - begun, 40, "the other parts were waited for")
        said = ended.stderr.decode()
        self.assertEqual((ended.returncode, ended.stdout), (65, b""), said)
        self.assertEqual(said.count("wrong, on purpose"), 1, said)
        self.assertEqual(said.count("part 1/3"), 1, said)
        self.assertEqual(self.attempts("1/3"), 1)

    def test_other_parts_are_cancelled_after_a_failure(self) -> None:
        trimtab = self.stand_in('[ "$part" = 1-2 ] || exec sleep 60; sleep 2; echo "wrong, on purpose" >&2; exit 65')
        result = self.in_parts(2, trimtab=trimtab)
        self.assertEqual(result.exit_code, 65)
        self.assertLessEqual(self.attempts("2/2"), 1)
        if self.attempts("2/2") == 0:
            return  # Cancelled before it began.
        process = int((self.scratch / "counts" / "2-2").read_text())
        until = time.monotonic() + 45
        while alive(process) and time.monotonic() < until:
            time.sleep(0.1)
        self.assertFalse(alive(process), "the program of a cancelled part still runs")

    def test_a_program_that_was_killed_is_tried_again(self) -> None:
        trimtab = self.stand_in('[ "$attempt" -eq 1 ] && kill -9 $$')
        self.assert_same(self.in_parts(2, trimtab=trimtab))
        self.assertEqual([self.attempts("1/2"), self.attempts("2/2")], [2, 2])

    def test_a_worker_of_ray_that_was_killed_is_tried_again(self) -> None:
        trimtab = self.stand_in('[ "$part-$attempt" = 2-2-1 ] && { kill -9 $PPID; exit 1; }')
        self.assert_same(self.in_parts(2, trimtab=trimtab))
        self.assertEqual(self.attempts("2/2"), 2)

    def test_a_worker_of_ray_that_is_always_killed_is_reported(self) -> None:
        result = self.in_parts(1, trimtab=self.stand_in("kill -9 $PPID; exit 1"), attempts=2)
        self.assertEqual((result.exit_code, result.report), (69, b""))
        self.assertIn("part 1/1", str(result.failure))
        self.assertEqual(self.attempts("1/1"), 2)

    def test_half_a_part_of_an_attempt_that_was_killed_never_counts(self) -> None:
        kept = self.scratch / "parts"
        kept.mkdir()
        # An attempt that wrote half a part and died, and what a run left behind that was killed while it wrote.
        (kept / "part-1-of-2.json").write_text('{"candidate": "8d')
        (kept / ".part-2-of-2.json-x").write_text('{"candidate": "8d')
        trimtab = self.stand_in(
            f'[ "$attempt" -eq 1 ] && {{ {shlex.quote(self.trimtab)} "$@" | head -c 200; kill -9 $$; }}\n'
            '[ "$attempt" -eq 2 ] && { printf \'{"candidate":\'; exit 74; }'
        )
        self.assert_same(self.in_parts(2, trimtab=trimtab, output=kept))
        self.assertEqual([self.attempts("1/2"), self.attempts("2/2")], [3, 3])
        for file in kept.glob("part-*.json"):
            json.loads(file.read_text())

    def test_what_is_missing_on_a_node_is_said(self) -> None:
        result = self.in_parts(1, trimtab="no-such-trimtab")
        self.assertEqual(result.exit_code, 66)
        self.assertIn("there is no program `no-such-trimtab`", str(result.failure))

    def test_wrong_command_lines_are_refused(self) -> None:
        until = self.flags[-2:]
        for arguments, reason in (
            (["--", *self.flags[:-2]], "--until is missing: a part needs it"),
            (["--", *self.flags, "--shard", "1/2"], "--shard: leave it out"),
            (["--", *self.flags, "--shard=1/2"], "--shard: leave it out"),
            (["--parts", "65", "--", *self.flags], "must be from 1 to 64"),
            (["--parts", "0", "--", *self.flags], "must be from 1 to 64"),
            (["--attempts", "0", "--", *self.flags], "must be 1 or more"),
            (["--partz", "2", "--", *self.flags], "--partz"),
            (until[:0], "`--` is missing"),
        ):
            with self.subTest(arguments=arguments):
                ended = self.command_line(*arguments)
                self.assertEqual((ended.returncode, ended.stdout), (64, b""))
                self.assertIn(reason, ended.stderr.decode())

    def test_a_node_needs_no_copy_of_the_adapter(self) -> None:
        # In another directory and without this one in its path, Python cannot import trimtab_ray.
        pickle: Any = ray.cloudpickle
        pickle.register_pickle_by_value(trimtab_ray)
        (self.scratch / "task").write_bytes(pickle.dumps(trimtab_ray._fold))
        program = "import ray.cloudpickle as p, sys; print(p.load(open(sys.argv[1], 'rb')).__name__)"
        command = [sys.executable, "-I", "-c", program, str(self.scratch / "task")]
        ended = subprocess.run(command, cwd=self.scratch, capture_output=True, check=False)
        self.assertEqual(ended.stdout, b"_fold\n", ended.stderr.decode())


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    # One that has ended and that nobody has asked about yet does not run.
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not os.path.isdir("/proc/self")


def main(arguments: List[str]) -> int:
    if len(arguments) not in (0, len(NAMES)):
        print("usage: python test_trimtab_ray.py [TRIMTAB DATA POLICY UNTIL]", file=sys.stderr)
        return 64
    os.environ.update(zip(NAMES, arguments))
    begun = time.monotonic()
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(DryRuns)
    result = unittest.TextTestRunner(verbosity=2).run(tests)
    bad = len(result.failures) + len(result.errors)
    print(f"trimtab_ray with Ray {ray.__version__}: {result.testsRun} tests, {bad} failed, "
          f"{time.monotonic() - begun:.0f} s")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
