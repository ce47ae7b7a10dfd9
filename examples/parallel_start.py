"""How parallel.py begins: with MPI, its options, and the digits."""

import os
import socket
import sys
import warnings

import networks
import processes
import program

from microgd import data, train


def begin(documentation):
    """Start MPI, and say which processes there are.

    Return the communicator of all processes, the options, and the digits.
    """
    introduce = processes.with_a_witness()
    comm = _all_processes()
    processes.end_all_if_one_fails(comm, known_to_all=(train.DivergedError, processes.Different))
    options = processes.together(comm, lambda: _options(documentation))
    digits = processes.together(
        comm, lambda: data.idx(options.data) if options.data else data.digits()
    )
    pids = comm.allgather(os.getpid())
    hosts = comm.allgather(socket.gethostname())
    if comm.rank == 0:
        for rank, pid in enumerate(pids):
            print(f"process {rank} of {comm.size}: PID {pid} on {hosts[rank]}", flush=True)
    introduce(f"process {comm.rank} of {comm.size} (PID {os.getpid()} on {hosts[comm.rank]})")
    return comm, options, digits


def _all_processes():
    # With the mpiexec of another MPI each process would believe that it is alone. mpi4py warns of
    # that.
    warnings.filterwarnings("error", "suspicious MPI")
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeWarning) as error:
        sys.exit(
            f"{error}\npip install -e '.[parallel]' installs MPI, with its own command mpiexec"
        )
    return MPI.COMM_WORLD


def _options(documentation):
    """The command line, which is wrong if the checkpoint could not be written."""
    parser = program.parser(documentation)
    add = parser.add_argument
    add("--data", metavar="FOLDER", help="files in MNIST's format (default: the sample)")
    add("--hidden", type=program.at_least(1), default=128, help="hidden units")
    add("--batch-size", type=program.at_least(1), default=256, help="examples a step")
    add("--epochs", type=program.at_least(1), default=3, help="passes over the digits")
    add("--rate", type=program.rate, default=0.1, help="the learning rate")
    add("--seed", type=program.at_least(0), default=0, help="for weights and order")
    text = "a file to write after each epoch, and to go on from"
    add("--checkpoint", metavar="PATH", help=text)
    options = program.options(parser)
    networks.check_writable(parser, "--checkpoint", options.checkpoint)
    return options
