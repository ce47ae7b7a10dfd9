"""What parallel.py needs so that no process waits for another one without end.

`Allreduce`, for instance, returns when all processes have called it. If one of them fails and does
not, the others would wait forever.
"""

import atexit
import hashlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO

import numpy as np
import program


class Different(RuntimeError):  # noqa: N818 (it is not a mistake in the program)
    """A process has other data, settings or weights than process 0. All processes raise it."""


def with_a_witness():
    """Let the rest of the program run in a child of this process, which waits and says how it ends.

    A process that the system kills, because there is no memory left, say, can't say so itself. And
    `mpiexec` ends all others at once, and often names one of those. The function that this returns
    takes the process's name. Call this before the import of MPI.

    Ctrl-C ends the child at once: Python would not see it before MPI returns from its waiting.
    """
    if not hasattr(os, "fork"):  # on Windows
        return lambda name: None
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()
        return lambda name: os.write(writing, name.encode())
    os.close(writing)
    interrupts = []

    def pass_on(*_):
        interrupts.append(1)
        with suppress(ProcessLookupError):  # it has ended
            os.kill(child, signal.SIGINT)  # Ctrl-C reaches it anyway, but `kill -INT` does not

    signal.signal(signal.SIGINT, pass_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    name = os.read(reading, 1000).decode() or "a process"
    if interrupts and code == -signal.SIGINT:
        if name.startswith("process 0 "):
            print("stopped", file=sys.stderr, flush=True)
    elif code < 0:
        _say_how_it_ended(name, f"was ended by {signal.Signals(-code).name}")
    elif code > 2:  # 0, 1 and 2 are those with which the program ends, having said why
        _say_how_it_ended(name, f"ended with the exit code {code}")
    os._exit(code if code >= 0 else 128 - code)


def _say_how_it_ended(name, how):
    print(f"{name} {how}, and so all processes end", file=sys.stderr, flush=True)


def _end_with_parent(parent):
    """End this process soon after its parent has ended."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def end_all_if_one_fails(comm, known_to_all):
    """From now on, an error in one process ends all of them, and says which process it was.

    Errors of the kinds `known_to_all` are raised in all processes, so process 0 alone says them.
    A process that exits before all are done ends the others, too.
    """

    def end(kind, error, trace):
        _finished.append(True)  # so that `leave` says nothing more
        if issubclass(kind, BrokenPipeError):
            program.print_no_more()
            _abort(comm)
        sys.stdout.flush()
        if comm.rank > 0 and issubclass(kind, known_to_all):
            time.sleep(2)  # until process 0 has said it and ended this one, if it knows the error
        place = f"process {comm.rank} of {comm.size}"
        if issubclass(kind, known_to_all):
            whose = f"{place}: " if comm.rank > 0 else ""
            title = "" if kind is Different else f"{kind.__name__}: "
            print(f"{whose}{title}{error}", file=sys.stderr, flush=True)
        else:
            traceback.print_exception(kind, error, trace)
            print(f"{place} failed, and so all processes end", file=sys.stderr, flush=True)
        _abort(comm)

    def leave():
        if not _finished:
            sys.stdout.flush()
            print(
                f"process {comm.rank} of {comm.size} exits while others may still wait for it, "
                "and so all end. What ends training has to be decided by all processes together.",
                file=sys.stderr,
                flush=True,
            )
            _abort(comm)

    sys.excepthook = end
    atexit.register(leave)


def _abort(comm):
    time.sleep(0.5)  # until mpiexec has passed on what was printed: it may drop the rest
    comm.Abort(1)


_finished = []  # holds True when no process needs the others any more


def leave_the_rest_to_process_0(comm):
    """All processes call this when they are done. All but process 0 end here."""
    wait_for_all(comm)
    _finished.append(True)
    if comm.rank > 0:
        sys.exit()


def together(comm, function):
    """Call a function in all processes, and return its result.

    If it fails in one of them, all exit, and process 0 says why. What the function prints, as an
    option `--help` does, is printed by process 0 alone.
    """
    printed = StringIO()
    result = failure = None
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            result = function()
    except SystemExit as exit:
        message = exit.code if isinstance(exit.code, str) else printed.getvalue()
        failure = (message.strip(), 1 if isinstance(exit.code, str) else exit.code)
    except (OSError, ValueError, ImportError) as error:
        failure = (str(error), 1)
    failures = comm.allgather(failure)
    if any(failures):
        rank = next(rank for rank, failure in enumerate(failures) if failure)
        message, code = failures[rank]
        if comm.rank == 0:
            whose = "" if all(failures) else f"process {rank} of {comm.size}: "
            print(f"{whose}{message}", file=sys.stderr if code else sys.stdout)
        _finished.append(True)
        sys.exit(code)
    if comm.rank == 0:
        print(printed.getvalue(), end="")
    return result


def check_same(comm, things):
    """Raise `Different` in all processes if one of them has another thing than process 0.

    `things` is a dictionary: by a name that says what it is, an array, a number or a text.
    """
    for name, thing in things.items():
        prints = comm.allgather(fingerprint(thing))
        others = [rank for rank in range(comm.size) if prints[rank] != prints[0]]
        if others:
            raise Different(
                f"process {others[0]} has other {name} than process 0: {prints[others[0]]}, "
                f"not {prints[0]}. All processes have to have the same."
            )


def fingerprint(thing):
    """A short text that differs if the thing does: the thing itself, or the hash of an array."""
    if not isinstance(thing, np.ndarray):
        text = str(thing)
        return text if len(text) < 60 else f"those with hash {_hash(text.encode())}"
    return f"{thing.dtype} of shape {thing.shape} with hash {_hash(thing.tobytes())}"


def _hash(content):
    return hashlib.sha256(content).hexdigest()[:8]


def all_cores(comm):
    """The number of cores that all processes together may use, on all machines."""
    if hasattr(os, "sched_getaffinity"):
        numbers = os.sched_getaffinity(0)
    else:
        numbers = range(os.cpu_count() or 1)
    mine = {(socket.gethostname(), number) for number in numbers}
    return len(set().union(*comm.allgather(mine)))


def turns(cores, processes):
    """What so many cores allow, as a sentence."""
    if processes == 1:
        return "All of it is computed on one core."
    if cores >= processes:
        return f"There are {cores} cores, so all of them compute at the same time."
    compute = "1 computes at a time" if cores == 1 else f"{cores} compute at the same time"
    return f"There are not as many cores: {compute}, and others take turns with them."


def wait_for_all(comm):
    """Wait until all processes are here, and leave the cores to those that still compute.

    (`Barrier` would ask again and again, and keep a core busy with that.)
    """
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(0.01)
