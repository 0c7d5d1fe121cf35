"""New processes for tests: forked from a server that has imported torch and the trainer once."""

import multiprocessing

FORKSERVER = multiprocessing.get_context("forkserver")
# torch._dynamo: DistributedDataParallel imports it at its first use, 1.6 s in each process
FORKSERVER.set_forkserver_preload(["agelens.training.loop.trainer", "torch._dynamo"])
