"""Signals end what runs by KeyboardInterrupt, whatever they meet."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cnnkit.core.signals import ENDING, HungUp, Terminated, exit_code, interrupts, noted


def send(number):
    os.kill(os.getpid(), number)
    time.sleep(60)  # until Python has seen it, which is at once


@pytest.fixture(autouse=True)
def not_ignored():
    """Signals as a terminal leaves them: where tests are run by nohup, SIGHUP would be ignored, and stay so."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


KINDS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, HungUp)]


@pytest.mark.parametrize(("number", "raised"), KINDS)
def test_a_signal_is_an_interruption(number, raised):
    with pytest.raises(KeyboardInterrupt) as caught, interrupts(*ENDING):
        send(number)
    assert type(caught.value) is raised
    assert exit_code(caught.value) == 128 + number  # as a shell has it of a process that a signal has ended


@pytest.mark.parametrize(("number", "raised"), KINDS)
def test_a_signal_that_is_noted_acts_when_it_is_heard(number, raised):
    with pytest.raises(KeyboardInterrupt) as caught, interrupts(*ENDING), noted(*ENDING) as signals:
        assert not signals
        signals.act()  # none has come
        os.kill(os.getpid(), number)
        assert signals
        signals.act()
        raise AssertionError("it has acted")
    assert type(caught.value) is raised


def test_a_second_signal_acts_at_once_as_what_it_is():
    with pytest.raises(Terminated), interrupts(*ENDING), noted(*ENDING) as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals
        send(signal.SIGTERM)


def test_a_signal_that_nobody_has_heard_acts_at_the_end():
    done = []
    with pytest.raises(Terminated), interrupts(*ENDING):
        with noted(*ENDING):
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("the work within")
        done.append("what is behind it")
    assert done == ["the work within"]


def test_a_signal_that_is_ignored_is_not_noted_either():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interrupts(*ENDING), noted(*ENDING) as signals:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signals
    finally:
        signal.signal(signal.SIGHUP, before)


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
