#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# water.sh - one Slurm job: i-PI and nearfar on one node, from the newest checkpoint to the end or to the wall time.
#
#     sbatch water.sh                                     in the directory of the run; docs/slurm.md explains each line
#     sbatch --export=ALL,REQUEUE=yes water.sh            goes on in the same job until the last step is done
#
# Exit status: 0 the last step is done; 75 stopped before it, submit again; 1 failed, see i-pi.log and nearfar.log.
#SBATCH --job-name=water
#SBATCH --nodes=1 --ntasks=1 --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue --open-mode=append
#SBATCH --output=%x-%j.log
set -u

input=${INPUT:-input.xml}                        # i-PI's
restarts=${RESTARTS:-RESTART run.checkpoint}     # where i-PI may have left a state to go on from
address=${ADDRESS:-water}                        # <address> of <ffsocket> in the input
model=${MODEL:-model}
species=${SPECIES:-start.xyz}
i_pi=${I_PI:-i-pi} nearfar=${NEARFAR:-nearfar}
cpus=${SLURM_CPUS_PER_TASK:-1}
ipi_cpus=${IPI_CPUS:-0}                          # processors for i-PI alone; 0: both share all
sockets=${SOCKETS:-/tmp}/nearfar-$(id -u)-${SLURM_JOB_ID:?is this a Slurm job?}
lives=3                                          # how often a nearfar that was killed is started again
patience=60                                      # seconds from EXIT until i-PI need not wait for a step any longer

say() { echo "$(date +%FT%T) $*"; }

end() { # STATUS WORD...
    say "${@:2}"
    exit "$1"
}

# ---- how far it is ----

number() { # TAG FILE DEFAULT: i-PI leaves out what has its default
    local found
    found=$(sed -n "s:.*<$1> *\([0-9]*\) *</$1>.*:\1:p" "$2" 2>/dev/null | head -n 1)
    echo "${found:-$3}"
}

steps() { number step "$1" 0; }

newest() { # the whole state with the most steps; one that was cut short by a kill does not count
    for file in $restarts; do
        tail -n 1 "$file" 2>/dev/null | grep -q '</simulation>' && echo "$(steps "$file") $file"
    done | sort -n | tail -n 1 | cut -d ' ' -f 2-
}

finished() { # STATE
    [ -n "$1" ] && [ "$(steps "$1")" -ge "$(number total_steps "$1" 1000)" ]
}

# ---- the two programs ----

allowed() { # the processors of this job, one a line
    taskset -cp $$ | sed 's/.*: //' | tr , '\n' | while IFS=- read -r first last; do seq "$first" "${last:-$first}"; done
}

on() { # FIRST COUNT: what pins a program to some of them; nothing where they are shared
    if [ "$ipi_cpus" -gt 0 ]; then
        echo taskset -c "$(allowed | tail -n "+$1" | head -n "$2" | paste -sd,)"
    fi
}

step=(srun --overlap --ntasks=1 "--cpus-per-task=$cpus")

start_ipi() { # FILE
    # shellcheck disable=SC2046
    OMP_NUM_THREADS=1 "${step[@]}" $(on 1 "$ipi_cpus") "$i_pi" -S "$sockets/" "$1" >>i-pi.log 2>&1 </dev/null &
    ipi=$!
}

start_nearfar() {
    local threads=$((cpus - ipi_cpus))
    # shellcheck disable=SC2046,SC2086
    "${step[@]}" $(on $((ipi_cpus + 1)) $threads) "$nearfar" run $model "unix:$sockets/$address" --species "$species" \
        --threads $threads --wait 600 >>nearfar.log 2>&1 </dev/null &
    server=$!
}

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

status_of() { # PID: waits for its end, whatever signals come meanwhile
    while alive "$1"; do
        wait "$1"
    done
    wait "$1"
}

nearfar_ended() { # i-PI would wait for another one for ever
    status_of "$server"
    served=$?
    server=
    if [ $served -gt 128 ] && [ ! -e EXIT ] && [ $lives -gt 0 ]; then
        lives=$((lives - 1))
        say "nearfar was killed (status $served): started again"
        start_nearfar
    else
        touch EXIT
    fi
}

watch() {
    local late=0
    while alive "$ipi"; do
        sleep 1
        if [ -n "$server" ] && ! alive "$server"; then
            nearfar_ended
        elif [ -e EXIT ] && [ $((late += 1)) -eq $patience ] && [ -n "$server" ]; then
            kill -TERM "$server"
        fi
    done
}

# ---- the job ----

state=$(newest)
finished "$state" && end 0 "nothing left to do: $state has all steps"
rm -f EXIT                                       # of the job before: it would stop this one at once
rm -rf "$sockets"                                # of this job before it was killed and requeued
mkdir -m 700 "$sockets" || end 1 "no directory $sockets for the socket"
asked='' served=0
trap 'asked=yes; touch EXIT' USR1 TERM
trap 'rm -rf "$sockets"; rm -f EXIT' EXIT

say "from ${state:-$input}, step $(steps "$state")"
begun=$(mktemp "$sockets/begun.XXXXXX")
start_ipi "${state:-$input}"
start_nearfar
watch

status_of "$ipi"
ran=$?
if [ -n "$server" ]; then
    kill -TERM "$server" 2>/dev/null
    status_of "$server"
    served=$?
fi

state=$(newest)
finished "$state" && end 0 "done: $(steps "$state") steps"
if [ $ran -ne 0 ] || [ ! RESTART -nt "$begun" ]; then
    end 1 "i-PI failed (status $ran): see i-pi.log"
elif [ -z "$asked" ] && [ $served -ne 0 ]; then
    end 1 "nearfar failed (status $served): see nearfar.log; the last whole step is in RESTART"
fi
say "stopped after $(steps "$state") steps (status of i-PI $ran, of nearfar $served)"
if [ -n "$asked" ] && [ -n "${REQUEUE:-}" ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit 75
