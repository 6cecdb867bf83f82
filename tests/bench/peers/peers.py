"""The peers of `cargo xtask bench stats`: each is called as its users call it, and only its call is timed.

Reads one question a line (JSON) and answers each with a line: seconds, and what the peer found, so that the bench can
tell whether both sides computed the same thing; or {"missing": why}. Inputs are files of little-endian f64.
"""

import array
import functools
import json
import os
import sys
import time


@functools.lru_cache(maxsize=2)
def numbers(path, whole=False):
    values = array.array("d")
    with open(path, "rb") as file:
        values.frombytes(file.read())
    return [int(x) for x in values] if whole else values.tolist()


@functools.lru_cache(maxsize=2)
def vector(path):
    import numpy

    return numpy.fromfile(path, dtype="<f8")


@functools.lru_cache(maxsize=2)
def frame(path, columns):
    import pandas

    return pandas.DataFrame(vector(path).reshape(columns, -1).T, columns=[f"feature-{n:02}" for n in range(columns)])


def forget_peak():
    """Lets the kernel count the process's peak from now on, where it can."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def peak():
    """Megabytes that this process held at most, where the kernel tells."""
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def timed(call):
    forget_peak()
    start = time.perf_counter()
    found = call()
    return {"seconds": time.perf_counter() - start, "found": found, "peak": peak()}


def river(detector, input, count, arguments):
    """A detector of river, fed one value after the other."""
    from river import drift

    new = getattr(drift, detector, None) or getattr(drift.binary, detector)
    values = numbers(input, whole=new.__module__.startswith("river.drift.binary"))[:count]
    watch = new(**arguments)

    def run():
        drifts = []
        update = watch.update
        for i, x in enumerate(values):
            update(x)
            if watch.drift_detected:
                drifts.append(i)
        return drifts

    return timed(run)


def adwin_core(input, count):
    """The compiled core of river's ADWIN with as little Python around it as can be."""
    from river import drift

    values = numbers(input)[:count]
    update = drift.ADWIN(clock=32)._helper.update
    return timed(lambda: [i for i, is_drift in enumerate(map(update, values)) if is_drift])


def ks(baseline, current):
    from scipy.stats import ks_2samp

    a, b = vector(baseline), vector(current)

    def run():
        found = ks_2samp(a, b, method="asymp")
        return [float(found.statistic), float(found.pvalue)]

    return timed(run)


def psi(baseline, current):
    """The formula in numpy, as there is no usual package for it; empty bins as ours."""
    import numpy

    a, b = vector(baseline), vector(current)

    def run():
        edges = numpy.quantile(a, numpy.linspace(0, 1, 11)[1:-1])
        p, q = (numpy.bincount(numpy.searchsorted(edges, x, side="right"), minlength=10) + 0.5 for x in (a, b))
        p, q = p / p.sum(), q / q.sum()
        return [float(((q - p) * numpy.log(q / p)).sum())]

    return timed(run)


def drift_report(baseline, current, columns, arguments):
    """Evidently's drift report; what it found is each feature's score in order of the features."""
    from evidently import Report
    from evidently.presets import DataDriftPreset

    a, b = frame(baseline, columns), frame(current, columns)

    def run():
        report = Report([DataDriftPreset(**arguments)])
        return report.run(current_data=b, reference_data=a).dict()

    answer = timed(run)
    scores = [metric for metric in answer["found"]["metrics"] if isinstance(metric["value"], float)]
    answer["found"] = [metric["value"] for metric in sorted(scores, key=lambda metric: metric["config"]["column"])]
    return answer


PEERS = {call.__name__: call for call in (river, adwin_core, ks, psi, drift_report)}


def main():
    # What a package prints must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer = PEERS[question.pop("peer")](**question)
        except ImportError as error:
            answer = {"missing": str(error)}
        except Exception as error:
            answer = {"missing": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers)


main()
