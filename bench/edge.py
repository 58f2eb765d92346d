#!/usr/bin/env python3
"""What it costs an edge to ship what it makes: processor time for the same records, of an edge over a real Kafka and of one process
that does all (and ships nothing), in turns.

    ./do setup cluster && python3 bench/edge.py     # build/backstream, about five minutes; a quiet machine, two cores

The traffic matrix in windows of 10 s, which are panes of 10 s, at a million flows a second. Of the engine: the thread that receives
and groups, and the one that makes messages of panes while that one rests; these two bound what an edge takes. The others write
files and send. The broker's time is its own.
"""
import argparse
import os
import statistics
import sys

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests")
sys.path[:0] = [os.path.join(TESTS, "cluster"), os.path.dirname(os.path.abspath(__file__))]
import kafka  # noqa: E402
import serve  # noqa: E402

QUERIES = {"matrix": serve.QUERIES["matrix"]}


def main():
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--binary", default="build/backstream")
    flags.add_argument("--records", type=int, default=15_000_000)
    flags.add_argument("--rate", type=int, default=1_000_000, help="flows a second")
    flags.add_argument("--rounds", type=int, default=5)
    asked = flags.parse_args()
    with kafka.Cluster("4") as cluster:
        nodes = {"one process": serve.Daemon(asked.binary, QUERIES),
                 "edge": serve.Daemon(asked.binary, QUERIES, "node.roles=edge", "catalog.store=kafka",
                                      f"kafka.brokers={cluster.bootstrap}")}
        cost = {name: ([], []) for name in nodes}
        for number in range(asked.rounds + 1):
            for name, node in nodes.items():
                read, drops, cpu = serve.throughput(node, asked.binary, asked.records, False, asked.rate)
                if number == 0:
                    continue  # Tables grow.
                main = cpu.pop(node.process.pid)
                engine, all_threads = cost[name]
                engine.append((main + max(cpu.values())) / read * 1e9)
                all_threads.append((main + sum(cpu.values())) / read * 1e9)
                print(f"{name}: {read} flows, {drops} drops, ns of processor time a flow: engine {engine[-1]:.1f}, all threads "
                      f"{all_threads[-1]:.1f}", flush=True)
        for what, which in (("engine", 0), ("all threads", 1)):
            whole, edge = (statistics.median(cost[name][which]) for name in nodes)
            print(f"medians, {what}: one process {whole:.1f} ns, edge {edge:.1f} ns a flow: {(edge / whole - 1) * 100:+.1f} %")
        for node in nodes.values():
            node.end()


if __name__ == "__main__":
    sys.exit(main())
