"""Runs PROGRAM COUNT times on a HyperQueue server with one worker of WIDTH cores, and prints the seconds it took.

As HyperQueue's documentation of its Python interface has it (LocalCluster, Job.program, submit, wait_for_jobs). Starting
server and worker is not counted. FILES is `files` for HyperQueue's default of a file each for stdout and stderr of every
task, or `none`.

usage: with_hyperqueue.py COUNT WIDTH PROGRAM FILES FOLDER
"""

import os
import sys
import time

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

count, width, program, files, folder = sys.argv[1:]
os.chdir(folder)
stdio = {} if files == "files" else {"stdout": None, "stderr": None}

with LocalCluster(os.path.join(folder, "server"), WorkerConfig(cores=int(width))) as cluster:
    client = cluster.client()
    # The worker registers in the background; a first task shows that it is there.
    first = Job()
    first.program([program], stdout=None, stderr=None)
    client.wait_for_jobs([client.submit(first)])

    start = time.perf_counter()
    job = Job()
    for _ in range(int(count)):
        job.program([program], **stdio)
    # Raises when a task has failed.
    client.wait_for_jobs([client.submit(job)])
    seconds = time.perf_counter() - start

print(f"seconds {seconds:.4f}", flush=True)
