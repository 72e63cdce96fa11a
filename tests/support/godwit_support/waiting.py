"""Waiting for a condition, with a deadline. No test sleeps in any other way."""
import time


def wait_until(predicate, timeout, what, interval=0.02):
    """Polls until predicate() is true and returns its value; fails after `timeout` seconds, naming `what`."""
    deadline = time.monotonic() + timeout
    last_error = None
    while True:
        try:
            value = predicate()
            if value:
                return value
            last_error = None
        except AssertionError as error:
            last_error = error
        if time.monotonic() >= deadline:
            detail = f" (last: {last_error})" if last_error else ""
            raise AssertionError(f"gave up after {timeout} s waiting for: {what}{detail}")
        time.sleep(interval)


def pace(seconds):
    """Lets time pass where time itself is meant: a workload's rhythm, the moment of a kill. Never to wait for something."""
    time.sleep(seconds)
