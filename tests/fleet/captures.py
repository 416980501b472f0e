"""What a GB10 answers, in the shapes the tools are known to print."""

MEMINFO = """\
MemTotal:       127535708 kB
MemFree:         9114620 kB
MemAvailable:   41880112 kB
Buffers:          812344 kB
Cached:         32110968 kB
SwapCached:            0 kB
Active:         20012312 kB
Inactive:       14220012 kB
SwapTotal:      16777212 kB
SwapFree:       16777212 kB
Dirty:               412 kB
Shmem:            102400 kB
KReclaimable:    1204412 kB
Slab:            2104412 kB
SReclaimable:    1204412 kB
SUnreclaim:       900000 kB
HugePages_Total:       0
HugePages_Free:        0
Hugepagesize:       2048 kB
"""
NET_DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop \
fifo colls carrier compressed
    lo: 9999999   10000    0    0    0     0          0         0  9999999   10000    0    0    \
0     0       0          0
enP7s7: {rx}   10000    0    0    0     0          0         0 {tx}   10000    0    0    0     0\
       0          0
veth1a2b3c4@if2: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
enp1s0f1np1: 500 5 0 0 0 0 0 0 700 7 0 0 0 0 0 0
"""
PRESSURE = """\
some avg10=1.25 avg60=0.50 avg300=0.10 total=123456
full avg10=0.75 avg60=0.25 avg300=0.05 total=65432
"""
BOOT = "b8e69659-ad8c-4b22-be7b-b2fee2224839"
HELLO = f"@H\t1\t{BOOT}\t20\t@E"
GPU = "@G\t0, NVIDIA GB10, 87, 61, 42.13, 2411, 580.95.05\t@E"
CONTAINER_ID = "4f2d8c" + "a" * 58
DOCKER = (
    '{"Command":"\\"sleep infinity\\"","CreatedAt":"2026-11-20 10:00:00 +0000 UTC","ID":"'
    + CONTAINER_ID
    + '","Image":"vllm-node","Labels":"spark-control.engine=1,spark-control.tag=swap-0abc,'
    'note=a,b","LocalVolumes":"0","Mounts":"/srv/models","Names":"spark-control-engine",'
    '"Networks":"host","Ports":"","RunningFor":"3 hours ago","Size":"0B","State":"running",'
    '"Status":"Up 3 hours"}'
)
DF = """\
Filesystem         1-blocks         Used    Available Capacity Mounted on
/dev/nvme0n1p2 983352770560 412345678901 520987654321      45% /
/dev/nvme0n1p2 983352770560 412345678901 520987654321      45% /
/dev/sda1      500000000000 499999999999            0     100% /srv/big models
"""


def frame(uptime: float = 1000.0, rx: int = 1000, tx: int = 2000) -> str:
    """One @F line as the sampler sends it."""
    text = f"{uptime:.2f} 5000.00\n0.52 0.58 0.59 3/812 12345\n{PRESSURE}{MEMINFO}" + (
        NET_DEV.format(rx=rx, tx=tx)
    )
    return "\t".join(["@F", *text.rstrip("\n").split("\n"), "@E"])


def listing(tag: str, lines: list[str], status: int = 0) -> list[str]:
    """A slow reading as the sampler sends it: its lines and the line that closes it."""
    closing = f"@{tag.lower()}\t{status}\t{len(lines)}\t@E"
    return [f"@{tag}\t{line}\t@E" for line in lines] + [closing]
