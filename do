#!/usr/bin/env bash
# The one door for people. Each verb installs what it needs and nothing else (Debian 12 packages, for the console what
# its lock names from the npm registry, and for tests with Kafka its jars from Maven Central), says so before it starts,
# and can be repeated at no cost. `./do help` lists the verbs.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

# Package groups. A verb names its groups; MB on disk are for a Debian 12 system that has none of them yet.
core="g++ cmake ninja-build pkg-config libpg-query-dev libfmt-dev libexpected-dev libtomlplusplus-dev libzstd-dev
      zlib1g-dev libbz2-dev libxxhash-dev libcli11-dev nlohmann-json3-dev libsqlite3-dev libboost1.81-dev
      libssl-dev libexpat1-dev libedit-dev libsodium-dev librdkafka-dev libpq-dev libcurl4-openssl-dev tzdata"   # 567 MB
tests="libgtest-dev libmaxminddb-dev softflowd pmacct nfdump tshark faketime python3 protobuf-compiler
       prometheus-alertmanager prometheus"   # 600 MB
bench="libbenchmark-dev nfdump pmacct python3"                           # 50 MB
fuzz="clang-16 libclang-rt-16-dev lld-16"                                # 325 MB
lint="clang-16 clang-tidy-16 clang-format-16 libgtest-dev libmaxminddb-dev python3"  # 365 MB
oracles="postgresql-15 tshark softflowd nfdump pmacct jq"                # 460 MB
experiment="python3-matplotlib"                                          # 570 MB
cluster="openjdk-17-jre-headless maven kcat librdkafka-dev python3"     # 245 MB; Kafka itself: kafka_jars
# A Node that is not Debian's does not go along with Debian's packages of it.
console="$(command -v node >/dev/null || echo nodejs) $(command -v npm >/dev/null || echo npm)"   # 220 MB
browser="chromium"                                                       # 640 MB
postgresql="postgresql-15"                                               # 175 MB; of the oracles, what test uses

say() { printf '%s\n' "$*"; }
die() { printf 'do: error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null; }
may_install() { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }
step() {  # step NAME COMMAND...: runs it, says how long it took
  local name=$1 begin=$SECONDS status=0
  shift
  say "--- $name"
  "$@" || status=$?
  say "--- $name: $((SECONDS - begin)) s"
  return $status
}

missing_packages() {  # of the packages named, those that dpkg does not have
  local package
  for package in $(printf '%s\n' "$@" | sort -u); do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || printf '%s ' "$package"
  done
}

sizes() {  # of the packages named and all that they bring: "N packages, X MB to fetch, Y MB on disk"
  apt-get --simulate install --no-install-recommends "$@" 2>/dev/null | awk '/^Inst/ {print $2}' |
    xargs -r apt-cache --no-all-versions show 2>/dev/null |
    awk '/^Package:/ {n++} /^Size:/ {fetch += $2} /^Installed-Size:/ {disk += $2}
         END {printf "%d packages, %.0f MB to fetch, %.0f MB on disk", n, fetch / 1e6, disk * 1024 / 1e6}'
}

# need ABOUT GROUP...: installs what is missing of the groups. ABOUT tells the disk and time of the verb itself.
need() {
  local about=$1 group wanted=() missing root=() lists=
  shift
  have dpkg-query && have apt-get || die "this needs Debian 12 (dpkg-query and apt-get are not here)"
  for group in "$@"; do wanted+=(${!group}); done
  missing=$(missing_packages "${wanted[@]}")
  say "$about"
  if [ -z "$missing" ]; then
    say "packages: all here, nothing is installed"
    return
  fi
  ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1 || lists="apt-get update -q && "
  if ! may_install; then
    say "packages missing: $missing"
    say "to install them, run as root:"
    say "  apt-get update && apt-get install -y --no-install-recommends $missing"
    exit 1
  fi
  [ "$(id -u)" = 0 ] || root=(sudo -n)
  say "installs from Debian: $missing"
  if [ -n "$lists" ]; then
    say "  first apt's package lists (about 20 MB); with what they depend on at most 800 MB (core and console), 1 GB (with"
    say "  fuzz, lint, oracles or experiment), 2.4 GB (test); 1 to 4 minutes"
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
  fi
  say "  $(sizes $missing); about 1 to 3 minutes"
  install_missing() {
    local log=${TMPDIR:-/tmp}/do-apt.$$ settings=/etc/postgresql-common/createcluster.conf
    # Only PostgreSQL's programs are wanted: its package would make a database cluster and start a server.
    if [[ " $missing" == *" postgresql-15 "* ]] && [ ! -e $settings ]; then
      "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql-common >"$log" 2>&1 &&
        "${root[@]}" sed -i 's/^#create_main_cluster = true/create_main_cluster = false/' $settings || return 1
    fi
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >"$log" 2>&1
  }
  # Package lists that are there may be old; then what they name is gone from the archive.
  install_missing || { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q && install_missing; } ||
    { cat "${TMPDIR:-/tmp}/do-apt.$$"; rm -f "${TMPDIR:-/tmp}/do-apt.$$"; die "apt-get could not install them (above)"; }
  rm -f "${TMPDIR:-/tmp}/do-apt.$$"
  missing=$(missing_packages "${wanted[@]}")
  [ -z "$missing" ] || die "still missing after apt-get: $missing"
}

configure() {  # configure PRESET [OPTION...]
  local preset=$1 launcher=()
  shift
  have ccache && [ -z "${CCACHE_DISABLE:-}" ] && launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  cmake --preset "$preset" --log-level=WARNING "${launcher[@]}" "$@" >/dev/null
}
compile() {  # compile DIRECTORY [TARGET...]
  local directory=$1
  shift
  # A compiler cache serves every checkout alike when it sees no folder's name.
  CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 ninja -C "$directory" --quiet "$@"
}
build_release() { configure release -DBACKSTREAM_TESTS="${1:-OFF}" && compile build "${@:2}"; }

# Apache Kafka from Maven Central: the jars that tests/cluster/checksums.txt names, and no others, in build/kafka.
kafka_versions() { sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' tests/cluster/pom.xml; }

check_jars() {  # check_jars FOLDER VERSION: the first jar of FOLDER/VERSION/libs that is not as the checksums say, by name
  local listed wrong
  listed=$(grep -E "^[0-9a-f]{64}  $2/libs/" tests/cluster/checksums.txt) || { say "$2"; return 1; }
  wrong=$(cd "$1" && { sha256sum --check --quiet 2>/dev/null <<<"$listed" | sed 's/: FAILED.*//'   # changed or missing
                       comm -13 <(cut -c 67- <<<"$listed" | sort) <(find "$2/libs" -type f | sort)  # not named
                     } | head -n 1)
  [ -z "$wrong" ] || { say "$wrong"; return 1; }
}

kafka_jars() {
  local version wrong fetched=build/kafka/fetched log=build/kafka/maven.log
  for version in $(kafka_versions); do
    if [ ! -d "build/kafka/$version/libs" ]; then
      say "fetches Kafka $version from Maven Central (about 45 MB, and 20 MB of Maven's own the first time; 10 to 60 s)"
      rm -rf "$fetched" && mkdir -p "$fetched" || return 1
      mvn -B -C -U -ntp -f tests/cluster/pom.xml -P "$version" -Dlibs="$PWD/$fetched/$version/libs" package >"$log" 2>&1 ||
        { tail -n 20 "$log" >&2; say "do: error: Maven could not fetch Kafka $version (above)" >&2; return 1; }
      wrong=$(check_jars "$fetched" "$version") ||
        { say "do: error: Maven brought $wrong, which is not what tests/cluster/checksums.txt says" >&2
          say "  Maven keeps what it brought in ~/.m2/repository; there it must go, too, to be fetched again" >&2; return 1; }
      mkdir -p "build/kafka/$version" && mv "$fetched/$version/libs" "build/kafka/$version/libs" && rm -rf "$fetched" || return 1
    fi
    wrong=$(check_jars build/kafka "$version") ||
      { say "do: error: build/kafka/$wrong is not what tests/cluster/checksums.txt says" >&2
        say "  to fetch it again: rm -r build/kafka/$version" >&2; return 1; }
  done
  # Once, about 10 s and 95 MB: the brokers' classes ready-made, which takes a third off every start.
  python3 tests/cluster/kafka.py prepare
}

# What console/package-lock.json names, from the npm registry, in console/node_modules. No script of a package is run.
console_modules() {
  [ console/node_modules/.package-lock.json -nt console/package-lock.json ] && return
  say "fetches what console/package-lock.json names from the npm registry (49 MB, 10 to 60 s)"
  # A registry that cannot be reached is given up after two minutes, not after a quarter of an hour.
  npm ci --prefix console --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-timeout=60000 --fetch-retries=1
}

# For builds that people use: without Node or the registry there is a program without pages for browsers, which says so
# itself. Who has all else, and may not install, is not kept from building for want of Node.
console_group() {
  if { have node && have npm; } || may_install || [ -n "$(missing_packages $core)" ]; then say console; fi
}
console_if_possible() {
  have npm || { say "console: Node and npm are not here (./do setup console); this build has no pages for browsers, all else works"; return; }
  console_modules || say "console: npm could not fetch its packages (above); this build has no pages for browsers, all else works"
}

verb_setup() {
  local groups=("$@") group
  [ ${#groups[@]} -gt 0 ] || groups=(core console)
  [ "${groups[0]}" != all ] || groups=(core console browser tests bench fuzz lint oracles experiment cluster)
  for group in "${groups[@]}"; do
    case $group in
      core | console | browser | tests | bench | fuzz | lint | oracles | experiment | cluster) ;;
      *) die "no group '$group'; groups: core console browser tests bench fuzz lint oracles experiment cluster, or all" ;;
    esac
  done
  need "setup: installs the package groups: ${groups[*]}" "${groups[@]}"
  [[ " ${groups[*]} " != *" console "* ]] || step "packages of the console" console_modules
  [[ " ${groups[*]} " != *" cluster "* ]] || step "Kafka $(kafka_versions | paste -sd ' ') in build/kafka (190 MB)" kafka_jars
}

verb_build() {
  need "build: compiles build/backstream (about 200 MB, 3 minutes on two cores the first time)" core $(console_group)
  step "packages of the console" console_if_possible
  step "build" build_release OFF backstream
  say "build/backstream is ready: build/backstream --help"
}

verb_demo() {
  local groups=(core $(console_group)) kafka=no
  [[ " $* " != *" --cluster "* ]] || { kafka=yes; groups+=(cluster); }
  [[ " $* " != *" --brokers"* ]] || kafka=no
  need "demo: compiles build/backstream (about 200 MB, 3 minutes on two cores the first time), then a minute of traffic" "${groups[@]}"
  if [ $kafka = yes ]; then
    step "Kafka $(kafka_versions | paste -sd ' ') in build/kafka (190 MB)" kafka_jars
    export BACKSTREAM_KAFKA_JARS="$PWD/build/kafka/$(kafka_versions | sort -V | tail -n 1)/libs"
  fi
  step "packages of the console" console_if_possible
  step "build" build_release OFF backstream
  exec build/backstream demo "$@"
}

verb_test() {
  local long=no begin=$SECONDS status=0 target
  case "${1:-}" in '') ;; --long) long=yes ;; *) die "test takes --long or nothing, not '$1'" ;; esac
  if [ $long = yes ]; then
    need "test --long: as test, then merge workers with 10 000 seeds, 200 rounds of faults over Kafka, outages of 5 minutes, brokers that are changed, a million flows in one process and in nine, PostgreSQL as oracle with 40 seeds, all fuzz targets for 10 minutes each, three quarters of an hour of the console and experiment 1 (about 3 GB, 6 hours)" \
         core console browser tests postgresql cluster fuzz experiment
  else
    need "test: two builds with their tests, release and asan-ubsan (about 2 GB, 40 to 60 minutes on two cores)" core console browser tests postgresql cluster
  fi
  step "packages of the console" console_modules || status=1
  step "Kafka $(kafka_versions | paste -sd ' ') in build/kafka (190 MB)" kafka_jars || status=1
  rm -f build/tests.xml build-asan/tests.xml
  # Five tests on two cores: most of them wait, for windows, time-outs and brokers.
  local jobs=$((5 * $(nproc) / 2))
  step "release build" build_release ON || status=1
  step "release tests" ctest --test-dir build -j "$jobs" --output-on-failure --output-junit tests.xml \
       --test-output-size-passed 1000000 --test-output-size-failed 1000000 || status=1
  step "asan-ubsan build" eval 'configure asan-ubsan && compile build-asan' || status=1
  step "asan-ubsan tests" ctest --test-dir build-asan -j "$jobs" --output-on-failure --output-junit tests.xml -LE e2e \
       --test-output-size-passed 1000000 --test-output-size-failed 1000000 || status=1
  if [ $long = yes ]; then
    step "simulation of merge workers, 10 000 seeds" env BACKSTREAM_SIM_SEEDS=10000 build/workers_test || status=1
    step "PostgreSQL as oracle, 40 seeds" python3 tests/oracle/run.py build/oracle_evaluate --long || status=1
    step "200 rounds of faults" env BACKSTREAM_ROUNDS=200 python3 tests/cluster/test_rounds.py build/backstream || status=1
    step "Kafka, and a site, away for 5 minutes" env BACKSTREAM_OUTAGE_S=300 python3 tests/cluster/test_halves.py build/backstream || status=1
    step "a fourth broker takes the place of the first" env BACKSTREAM_BROKERS_CHANGE=1 python3 tests/cluster/test_changes.py build/backstream || status=1
    step "a million flows in one process and in nine" env BACKSTREAM_SAME_RECORDS=1000000 python3 tests/cluster/test_same.py build/backstream || status=1
    step "the console for three quarters of an hour" python3 tests/console/run.py soak build/backstream || status=1
    step "fuzz" fuzz_all 600 || status=1
    step "experiment 1" /usr/bin/python3 experiments/1 build/backstream || status=1
  fi
  say "--- all: $((SECONDS - begin)) s"
  python3 tests/count.py build/tests.xml build-asan/tests.xml || status=1
  return $status
}

verb_bench() {
  need "bench: builds build and build-bench (about 400 MB, 6 minutes), then runs the benchmarks and the peers (10 minutes, 1 GB)" \
       core bench
  step "build" eval 'build_release OFF backstream && configure bench && compile build-bench'
  local bench
  for bench in build-bench/bench_*; do
    [ -x "$bench" ] && step "${bench##*/}" "$bench" "$@"
  done
  step "whole program and peers" python3 bench/peers.py
}

fuzz_all() {  # fuzz_all SECONDS: every target that long, one after the other
  # Without entropic scheduling a decoder runs twice as many inputs; theirs are a few datagrams.
  local seconds=$1 target failed=0 fast=(-entropic=0 -shrink=0 -reduce_inputs=0)
  configure fuzz && compile build-fuzz || return 1
  for target in build-fuzz/fuzz_*; do
    [ -x "$target" ] || continue
    local name=${target##*/} corpus=build-fuzz/corpus/${target##*/} seeds=() length=()
    case $name in *_netflow[1579] | *_ipfix | *_sflow) length=(-max_len=512) ;; esac
    mkdir -p "$corpus"
    [ ! -d "fuzz/seeds/$name" ] || seeds=("fuzz/seeds/$name")
    step "$name" "$target" -max_total_time="$seconds" "${fast[@]}" "${length[@]}" -print_final_stats=1 -timeout=10 \
         -rss_limit_mb=2048 -artifact_prefix="build-fuzz/$name-" "$corpus" "${seeds[@]}" 2>"build-fuzz/$name.log" ||
      { failed=1; tail -n 40 "build-fuzz/$name.log"; }
    grep -E 'DONE|number_of_executed_units|average_exec_per_sec|peak_rss' "build-fuzz/$name.log" || true
  done
  return $failed
}

verb_fuzz() {
  local seconds=${1:-60}
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || die "fuzz takes the seconds for each target, not '$seconds'"
  need "fuzz: builds the fuzz targets with clang in build-fuzz (about 1 GB, 7 minutes), then $seconds s for each" core fuzz
  fuzz_all "$seconds"
}

verb_lint() {
  need "lint: clang-format, a build for its generated sources, clang-tidy over src (about 15 minutes on two cores)" core lint
  local files status=0
  files=$(find src fuzz bench tests \( -name '*.cc' -o -name '*.h' \))
  # shellcheck disable=SC2086
  step "format" clang-format-16 --dry-run --Werror $files || status=1
  step "build" build_release ON backstream
  step "tidy" run-clang-tidy-16 -p build -quiet -j "$(nproc)" "^$PWD/src/" || status=1
  return $status
}

verb_experiment() {
  [ -n "${1:-}" ] || die "which experiment? for example: ./do experiment 1"
  local groups=(core experiment) minutes=5
  case $1 in
    3-workers) groups+=(cluster); minutes=15 ;;
    4) groups+=(cluster); minutes=8 ;;
  esac
  need "experiment $1: compiles build/backstream, runs it, writes docs/experiments (about 1 GB while it runs, $minutes minutes)" "${groups[@]}"
  [[ " ${groups[*]} " != *" cluster "* ]] || step "Kafka $(kafka_versions | paste -sd ' ') in build/kafka (190 MB)" kafka_jars
  step "build" build_release OFF backstream
  [ -x "experiments/$1" ] || die "no experiment '$1'; there are: $(ls experiments 2>/dev/null | tr '\n' ' ')"
  exec /usr/bin/python3 "experiments/$1" build/backstream --report docs/experiments "${@:2}"
}

verb_help() {
  cat <<'END'
./do VERB: installs what the verb needs (Debian 12 packages; says what before it starts), then does it.
  setup [GROUP... | all]   only installs: core console browser tests bench fuzz lint oracles experiment cluster (default:
                           core console); console: Node, npm and the packages that the pages for browsers are made with;
                           cluster: a JRE, kcat and Apache Kafka's jars (from Maven Central, into build/kafka)
  build                    build/backstream, release
  demo [--duration D ...]  three PoPs on loopback with synthetic traffic; no root, no network
  demo --cluster           the same as processes: three edges, two merge workers, a receiver, and Apache Kafka
  test [--long]            what CI runs: release and asan-ubsan tests; --long adds seeds, faults, fuzzing and experiment 1
  bench                    benchmarks, and the peers on the same capture
  fuzz [SECONDS]           every fuzz target for SECONDS (default 60)
  lint                     clang-format and clang-tidy
  experiment N             experiment N of docs/experiments: 1, 3, 3-workers (as root), 4
END
}

verb=${1:-help}
[ $# -eq 0 ] || shift
case $verb in
  setup | build | demo | test | bench | fuzz | lint | experiment) "verb_$verb" "$@" ;;
  help | -h | --help) verb_help ;;
  *) verb_help >&2; die "no verb '$verb'" ;;
esac
