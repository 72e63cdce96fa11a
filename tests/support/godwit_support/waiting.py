"""Waiting for a condition, with a deadline. No test sleeps in any other way."""
import time


# Who asks takes at most a third of a processor, however dear the answer (a command, a new session) and full the machine.
REST = 2
LONGEST_REST_S = 0.25


def wait_until(predicate, timeout, what, interval=0.02):
    """Polls until predicate() is true and returns its value; fails after `timeout` seconds, naming `what`."""
    deadline = time.monotonic() + timeout
    last_error = None
    while True:
        asked = time.monotonic()
        try:
            value = predicate()
            if value:
                return value
            last_error = None
        except AssertionError as error:
            last_error = error
        now = time.monotonic()
        if now >= deadline:
            detail = f" (last: {last_error})" if last_error else ""
            raise AssertionError(f"gave up after {timeout} s waiting for: {what}{detail}")
        time.sleep(max(interval, min(REST * (now - asked), LONGEST_REST_S)))


def pace(seconds):
    """Lets time pass where time itself is meant: a workload's rhythm, the moment of a kill. Never to wait for something."""
    time.sleep(seconds)
