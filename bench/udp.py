#!/usr/bin/env python3
"""Receiving over loopback UDP with the traffic matrix running: what is lost, and what it costs.

    bench/udp.py [--rate DATAGRAMS/S] [--seconds N] [--gso] [--single] [--buffer OCTETS] [--bare] [--threads N] [--first] [--workdir DIR] [--set KEY=VALUE]

NetFlow v5, 30 records a datagram of 1464 octets, 4 exporters, 10 M records (preset bench) sent again and again with times of now. The sender has
core 0, the receiver core 1. --gso: the sender hands the kernel 44 datagrams at once, which loopback delivers in one piece; with --single the
receiver has the kernel divide them (ingest.coalesce=false), which is how one sender offers more than half a million datagrams a second singly. --bare: a loop
of recvmmsg and nothing else takes the place of the program, the most that the kernel delivers. --rate 0: as fast as the sender can.
Prints one line of JSON: sent = received + dropped by the kernel, or it says that it is not. Build first: ninja -C build backstream udp_load
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
MATRIX = ("SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '300 s') "
          "GROUP BY window_start, src_as, dst_as")


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_of(process):
    with open(f"/proc/{process.pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=400_000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--gso", action="store_true")
    parser.add_argument("--single", action="store_true")
    parser.add_argument("--buffer", type=int, default=32 << 20)
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--first", action="store_true",
                        help="SCHED_RR: both before all else, on a machine that has other work; the receiver's threads share their core by "
                             "turns (sysctl kernel.sched_rt_runtime_us=-1 kernel.sched_rr_timeslice_ms=4)")
    parser.add_argument("--workdir", default=os.path.join(tempfile.gettempdir(), "backstream-udp"))
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    os.makedirs(options.workdir, exist_ok=True)
    capture = os.path.join(options.workdir, "v5.pcap")
    program, load = os.path.join(BUILD, "backstream"), os.path.join(BUILD, "udp_load")
    if not os.path.exists(capture):
        subprocess.run([program, "generate", "--preset", "bench", "--pcap", capture], check=True)
    port, stats_path = free_port(), os.path.join(options.workdir, "stats.json")
    coalesce = options.gso and not options.single
    first = ["chrt", "-r", "1"] if options.first else []
    core = first if options.threads > 1 else [*first, "taskset", "-c", "1"]
    if options.bare:
        command = [*core, load, "receive", str(port), "60", str(options.buffer), *(["--gro"] if coalesce else [])]
    else:
        command = [*core, program, "run", "-q", "--listen", f"udp://127.0.0.1:{port}", "-o", "none", "--stats", stats_path, "--threads",
                   str(options.threads), "--delay", "2s", "--set", f"ingest.receive_buffer={options.buffer}", "--set",
                   f"ingest.coalesce={'true' if coalesce else 'false'}", "-e", MATRIX]
        for assignment in options.set:
            command += ["--set", assignment]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=sys.stderr, text=True)
    time.sleep(1)
    before = 0 if options.bare else cpu_of(receiver)
    sender = subprocess.run([*first, "taskset", "-c", "0", load, "send", capture, str(port), str(options.rate), str(options.seconds),
                             *(["--gso"] if options.gso else [])], stdout=subprocess.PIPE, text=True, check=True)
    time.sleep(1)
    sent = json.loads(sender.stdout)
    if options.bare:
        output, _ = receiver.communicate(timeout=30)
        got = json.loads(output)
        received, dropped, cpu = got["received"], got["dropped"], got["cpu"]
        records = received * sent["records"] // max(1, sent["sent"])
        extra = {}
    else:
        cpu = cpu_of(receiver) - before
        receiver.send_signal(signal.SIGINT)
        receiver.communicate(timeout=120)
        with open(stats_path) as file:
            stats = json.load(file)
        received, dropped = stats["ingest"]["datagrams"], stats["ingest"]["kernel_drops"]
        records = stats["decode"]["flows"]
        view = stats["views"][0]
        extra = {"missing_records": stats["decode"]["missing"], "late": view["late"], "windows": view["windows_closed"],
                 "rows": view["result_rows"], "buffer_granted": [s["buffer_octets"] for s in stats["ingest"]["sockets"]]}
        if view["counted"] + view["late"] != records:
            extra["!!"] = "rows do not add up"
    with open("/proc/loadavg") as file:
        load_average = float(file.read().split()[0])
    print(json.dumps({
        "what": "bare loop" if options.bare else "matrix", "delivered": "coalesced" if coalesce else "singly", "seconds": sent["seconds"],
        "sent": sent["sent"], "received": received, "dropped": dropped, "unaccounted": sent["sent"] - received - dropped if not coalesce else None,
        "lost_percent": round(100 * (1 - received / sent["sent"]), 4), "datagrams_per_second": round(received / sent["seconds"]),
        "M_records_per_second": round(records / sent["seconds"] / 1e6, 2), "receiver_cpu": round(cpu, 2), "sender_cpu": sent["cpu"],
        "sender_pauses": sent["pauses"], "buffer": options.buffer, **extra, "load": load_average}))


if __name__ == "__main__":
    sys.exit(main())
