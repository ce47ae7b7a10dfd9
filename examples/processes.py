"""What parallel.py needs so that no process waits for another one without end.

`Allreduce`, for instance, returns when all processes have called it. If one of them fails and does
not, the others would wait forever.
"""

import hashlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import numpy as np


def with_a_witness():
    """Let the rest of the program run in a child of this process, which waits and says how it ends.

    A process that the system kills, because there is no memory left, say, can't say so itself. And
    `mpiexec` ends all others at once, and often names one of those. The function that this returns
    takes the process's name. Call this before the import of MPI.
    """
    if not hasattr(os, "fork"):  # on Windows
        return lambda name: None
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        threading.Thread(target=_end_with_parent, args=[os.getppid()], daemon=True).start()
        return lambda name: os.write(writing, name.encode())
    os.close(writing)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the child, too
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code < 0:
        name = os.read(reading, 1000).decode() or "a process"
        cause = signal.Signals(-code).name
        print(f"{name} was ended by {cause}, and so all processes end", file=sys.stderr, flush=True)
    os._exit(code if code >= 0 else 128 - code)


def _end_with_parent(parent):
    """End this process soon after its parent has ended."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def end_all_if_one_fails(comm, known_to_all):
    """From now on, an error in one process ends all of them, and says which process it was.

    An error of the kind `known_to_all` is raised in all processes, and Ctrl-C reaches all. So
    process 0 alone says it.
    """

    def end(kind, error, trace):
        sys.stdout.flush()
        if issubclass(kind, (known_to_all, KeyboardInterrupt)):
            if comm.rank > 0:
                time.sleep(60)  # until process 0 ends this one
            said = "stopped" if kind is KeyboardInterrupt else f"{kind.__name__}: {error}"
            print(said, file=sys.stderr, flush=True)
        else:
            traceback.print_exception(kind, error, trace)
            place = f"process {comm.rank} of {comm.size}"
            print(f"{place} failed, and so all processes end", file=sys.stderr, flush=True)
        time.sleep(0.5)  # until mpiexec has passed on what was printed: it may drop the rest
        comm.Abort(1)

    sys.excepthook = end


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
        sys.exit(code)
    if comm.rank == 0:
        print(printed.getvalue(), end="")
    return result


def check_same(comm, **things):
    """Exit in all processes if one of them has other things than process 0.

    A thing is an array, a number or a text, and has a name that says what it is.
    """
    for name, thing in things.items():
        prints = comm.allgather(fingerprint(thing))
        others = [rank for rank in range(comm.size) if prints[rank] != prints[0]]
        if others:
            if comm.rank == 0:
                print(
                    f"process {others[0]} of {comm.size} has other {name} than process 0: "
                    f"{prints[others[0]]}, not {prints[0]}. Start all of them with the same.",
                    file=sys.stderr,
                )
            sys.exit(1)


def fingerprint(thing):
    """A short text that differs if the thing does: the thing itself, or the hash of an array."""
    if not isinstance(thing, np.ndarray):
        return str(thing)
    digest = hashlib.sha256(np.ascontiguousarray(thing).tobytes()).hexdigest()
    return f"{thing.dtype} of shape {thing.shape} with hash {digest[:8]}"


def cores():
    """The cores that this process may use, each with the name of its machine."""
    if hasattr(os, "sched_getaffinity"):
        numbers = os.sched_getaffinity(0)
    else:
        numbers = range(os.cpu_count() or 1)
    return {(socket.gethostname(), number) for number in numbers}


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
