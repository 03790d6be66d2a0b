#!/bin/sh
# Debian's packages for a SLURM of one node, where they are absent and can be had. Nothing is started:
# the tests start daemons of their own. Where this cannot be, the tests say why they are skipped.
set -u
command -v slurmctld > /dev/null && command -v slurmd > /dev/null && command -v munged > /dev/null &&
  command -v sbatch > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
  echo "no SLURM here, and it cannot be installed: that takes apt-get and root" >&2
  exit 0
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy
  trap 'rm -f $policy' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get install -y -qq --no-install-recommends munge slurm-client slurmctld slurmd; }
install > /dev/null 2>&1 || { apt-get update -qq > /dev/null 2>&1; install > /dev/null; } ||
  echo "SLURM could not be installed" >&2
