"""New processes for tests: forked from a server that has imported torch and the trainer once."""

import multiprocessing

FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["agelens.training.loop.trainer"])
