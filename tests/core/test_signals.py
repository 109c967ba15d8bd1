"""Signals end what runs by KeyboardInterrupt, whatever they meet."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cnnkit.core.signals import Terminated, interrupts


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(60)  # until Python has seen it, which is at once


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_is_an_interruption(number, raised):
    with pytest.raises(KeyboardInterrupt) as caught, interrupts(signal.SIGINT, signal.SIGTERM):
        send(number)
    assert type(caught.value) is raised


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_an_error_that_is_made_of_it_on_the_way_is_the_interruption(number, raised):
    with pytest.raises(KeyboardInterrupt) as caught, interrupts(signal.SIGINT, signal.SIGTERM):
        try:
            send(number)
        except KeyboardInterrupt:
            raise RuntimeError("MISMATCH of original and normalized active exception types") from None
    assert type(caught.value) is raised


def test_an_error_without_a_signal_stays_what_it_is():
    with pytest.raises(ValueError, match="nothing to do with it"), interrupts(signal.SIGINT):
        raise ValueError("nothing to do with it")


def test_afterwards_the_handlers_are_as_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with interrupts(signal.SIGINT, signal.SIGTERM):
        assert signal.getsignal(signal.SIGTERM) != before[1]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts(signal.SIGINT):
            os.kill(os.getpid(), signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
