#!/usr/bin/env python3
"""Times `backstream run` and its peers on one synthetic capture, in one run, and checks every answer that can be checked.

    bench/peers.py [--records N] [--pmacct-records N] [--rounds N] [--workdir DIR] [--json FILE]

CPU seconds are user + system of the measured processes and their children, from the kernel's accounting. nfdump 1.7.1 reads
no pcap, so nfcapd is fed over loopback and its CPU counts, and so is pmacct's nfacctd; a run in which one of them lost a
datagram is said to have. pmacct needs 4 KB of memory a group: 6 GB for 10 M records.
"""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BACKSTREAM = os.path.join(ROOT, "build", "backstream")
MATRIX = os.path.join(ROOT, "queries", "traffic_matrix.sql")
SWEEP = os.path.join(ROOT, "queries", "port_sweep.sql")


def cpu_of(command, **kwargs):
    """Runs a command; returns (CPU seconds, wall seconds, peak MiB)."""
    started = time.monotonic()
    process = subprocess.Popen(command, **kwargs)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if status != 0:
        raise SystemExit(f"{' '.join(command)}: status {status}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def median(values):
    values = sorted(values)
    return values[len(values) // 2]


class TreeCpu:
    """CPU seconds of a process and of all that descend from it, by the last look at each: some of them are never waited for."""
    def __init__(self, pid):
        self.pid, self.seen, self.peak_kib = pid, {}, 0

    def alive(self):
        """Whether any process that was seen runs still."""
        for pid in self.seen:
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] != "Z":
                        return True
            except OSError:
                pass
        return False

    def look(self):
        ticks = os.sysconf("SC_CLK_TCK")
        waiting, resident, met = [self.pid, *self.seen], 0, set()
        while waiting:
            one = waiting.pop()
            if one in met:
                continue
            met.add(one)
            try:
                with open(f"/proc/{one}/stat") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                self.seen[one] = (int(fields[11]) + int(fields[12])) / ticks
                resident += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") // 1024
                with open(f"/proc/{one}/task/{one}/children") as f:
                    waiting += [int(p) for p in f.read().split()]
            except OSError:
                pass
        self.peak_kib = max(self.peak_kib, resident)
        return sum(self.seen.values())


def same_rows(answer, truth):
    """Whether two CSV files hold the same rows after the header, in any order. In other processes: what is held here would
    count as peak memory of the programs that are started later."""
    compare = "cmp <(tail -n +2 \"$1\" | LC_ALL=C sort) <(tail -n +2 \"$2\" | LC_ALL=C sort)"
    return subprocess.run(["bash", "-c", compare, "compare", answer, truth], stdout=subprocess.DEVNULL).returncode == 0


class Bench:
    def __init__(self, arguments, workdir):
        self.arguments = arguments
        self.workdir = workdir
        self.results = []

    def path(self, name):
        return os.path.join(self.workdir, name)

    def add(self, name, records, cpu, wall, peak, note=""):
        row = {"name": name, "records": records, "cpu_s": round(cpu, 3), "wall_s": round(wall, 3),
               "m_records_per_cpu_s": round(records / cpu / 1e6, 2), "peak_mib": round(peak), "note": note}
        self.results.append(row)
        print(f"{name:44} {row['cpu_s']:8.3f} CPU s {row['wall_s']:8.3f} s {row['peak_mib']:7} MiB "
              f"{row['m_records_per_cpu_s']:8.2f} M records/CPU s  {note}", flush=True)
        return row

    def generate(self, protocol, records):
        pcap, truth = self.path(f"{protocol}-{records}.pcap"), self.path(f"truth-{protocol}-{records}")
        subprocess.run([BACKSTREAM, "generate", "--preset", "bench", "--protocol", protocol, "--records", str(records),
                        "--pcap", pcap, "--truth", truth], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(pcap, "rb") as f:   # into the page cache
            while f.read(1 << 24):
                pass
        return pcap, truth

    def ours(self, name, pcap, query, truth_csv, records):
        engine, whole = [], []
        answer = self.path("answer.csv")
        for _ in range(self.arguments.rounds):
            engine.append(cpu_of([BACKSTREAM, "run", "--pcap", pcap, query, "-o", "none"], stderr=subprocess.DEVNULL))
            with open(answer, "w") as out:
                whole.append(cpu_of([BACKSTREAM, "run", "--pcap", pcap, query, "-o", "csv"], stdout=out,
                                    stderr=subprocess.DEVNULL))
        right = same_rows(answer, truth_csv)
        for kind, runs in (("engine", engine), ("whole", whole)):
            cpu, wall, peak = (median([run[i] for run in runs]) for i in range(3))
            self.add(f"backstream {name}, {kind}", records, cpu, wall, peak,
                     "" if kind == "engine" else ("= truth" if right else "DIFFERS FROM THE TRUTH"))
        if not right:
            raise SystemExit(f"{name}: the answer differs from the truth")

    def nfdump(self, records):
        if shutil.which("nfcapd") is None:
            return print("nfdump: not installed, left out")
        spool = self.path("nfcapd")
        shutil.rmtree(spool, ignore_errors=True)
        os.makedirs(spool)
        port = "29955"
        collector = subprocess.Popen(["nfcapd", "-p", port, "-b", "127.0.0.1", "-w", spool, "-t", "86400", "-B", "67108864"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
        started = time.monotonic()
        subprocess.run([BACKSTREAM, "generate", "--preset", "bench", "--protocol", "v5", "--records", str(records),
                        "--to", f"udp://127.0.0.1:{port}", "--rate", "2000000", "--span", "900s"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)
        collector.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(collector.pid, 0)
        collect_cpu = usage.ru_utime + usage.ru_stime
        files = sorted(os.path.join(spool, f) for f in os.listdir(spool) if f.startswith("nfcapd."))
        report = subprocess.run(["nfdump", "-I", "-r", files[0]], capture_output=True, text=True).stdout
        stored = next((int(line.split(":")[1]) for line in report.splitlines() if line.startswith("Flows:")), 0)
        cpu, wall, peak = cpu_of(["nfdump", "-r", files[0], "-A", "srcas,dstas", "-O", "bytes", "-n", "10"],
                                 stdout=subprocess.DEVNULL)
        note = "no windows, prints 10 rows" + ("" if stored == records else f"; stored {stored} of {records}")
        self.add("nfcapd (loopback)", stored or records, collect_cpu, time.monotonic() - started, usage.ru_maxrss / 1024)
        self.add("nfcapd + nfdump -A srcas,dstas", stored or records, collect_cpu + cpu, wall, peak, note)
        cpu, wall, peak = cpu_of(["nfdump", "-r", files[0], "-A", "srcip,dstip,dstport", "-O", "bytes", "-n", "10",
                                  "packets 1"], stdout=subprocess.DEVNULL)
        self.add("nfcapd + nfdump -A srcip,dstip,dstport", stored or records, collect_cpu + cpu, wall, peak,
                 "ports are not counted")

    def pmacct(self, protocol, records):
        """nfacctd takes the same traffic over loopback, as it does at work: replaying a capture, its print plugin is stopped in
        the middle of its work at the end of the file. What it printed is compared with the truth, so a lost datagram shows."""
        if shutil.which("nfacctd") is None:
            return print("pmacct: not installed, left out")
        config, output, truth = self.path("nfacctd.conf"), self.path("pmacct"), self.path("truth-pmacct")
        port = "29956"
        for name in os.listdir(self.workdir):
            if name.startswith("pmacct-"):
                os.remove(self.path(name))
        with open(config, "w") as f:
            f.write(f"""daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: {port}
nfacctd_pipe_size: 67108864
plugins: print[tm]
aggregate[tm]: src_as, dst_as
nfacctd_as: netflow
print_history[tm]: 5m
print_history_roundoff[tm]: m
print_refresh_time[tm]: 3600
print_output[tm]: csv
print_output_file[tm]: {output}-%Y%m%d-%H%M.csv
print_cache_entries[tm]: 1400000
plugin_pipe_size[tm]: 1024000000
plugin_buffer_size[tm]: 1024000
""")
        started = time.monotonic()
        process = subprocess.Popen(["nfacctd", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        tree, before, quiet = TreeCpu(process.pid), -1.0, 0
        time.sleep(2)
        sender = subprocess.Popen([BACKSTREAM, "generate", "--preset", "bench", "--protocol", protocol, "--records", str(records),
                                   "--to", f"udp://127.0.0.1:{port}", "--rate", "300000", "--span", "900s", "--truth", truth],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while (sender.poll() is None or quiet < 50) and time.monotonic() - started < 600:   # All is taken in when it rests.
            time.sleep(0.1)
            now = tree.look()
            quiet = quiet + 1 if now - before < 0.02 else 0
            before = now
        wall = time.monotonic() - started
        process.send_signal(signal.SIGINT)   # Then it prints, in the plugin, which outlives its parent.
        while (process.poll() is None or tree.alive()) and time.monotonic() - started < 900:
            time.sleep(0.05)
            tree.look()
        last = tree.look()
        rows = octets = wanted = 0
        for name in os.listdir(self.workdir):
            if name.startswith("pmacct-") and name.endswith(".csv"):
                with open(self.path(name)) as f:
                    for line in list(f)[1:]:
                        rows, octets = rows + 1, octets + int(line.rsplit(",", 1)[1])
        with open(os.path.join(truth, "traffic_matrix.csv")) as f:
            for line in list(f)[1:]:
                wanted += int(line.rsplit(",", 1)[1])
        note = f"{rows} rows printed" + ("" if octets == wanted else f"; octets {octets} of {wanted}")
        self.add(f"pmacct nfacctd print plugin, {protocol}", records, last, wall, tree.peak_kib / 1024, note)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--pmacct-records", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workdir")
    parser.add_argument("--json")
    parser.add_argument("--only", choices=["ours", "nfdump", "pmacct"], help="one part of it, for looking closer")
    arguments = parser.parse_args()
    if not os.path.exists(BACKSTREAM):
        raise SystemExit("build/backstream is missing: ./do build")
    with tempfile.TemporaryDirectory(dir=arguments.workdir) as workdir:
        bench = Bench(arguments, workdir)
        parts = [arguments.only] if arguments.only else ["ours", "nfdump", "pmacct"]
        for protocol in ("v5", "ipfix") if "ours" in parts else ():
            pcap, truth = bench.generate(protocol, arguments.records)
            bench.ours(f"traffic matrix, {protocol}", pcap, MATRIX, os.path.join(truth, "traffic_matrix.csv"), arguments.records)
            if protocol == "v5":
                bench.ours("port sweep, v5", pcap, SWEEP, os.path.join(truth, "port_sweep.csv"), arguments.records)
            os.remove(pcap)
        if "nfdump" in parts:
            bench.nfdump(arguments.records)
        for protocol in ("v5", "ipfix") if "pmacct" in parts else ():
            bench.pmacct(protocol, arguments.pmacct_records)
        if arguments.json:
            with open(arguments.json, "w") as f:
                json.dump(bench.results, f, indent=2)


if __name__ == "__main__":
    sys.exit(main())
