#!/bin/sh
# nvidia-smi of a GB10: figures of memory are [N/A], for ever.
H='@HOST@'
gpu= apps= noheader=0 nounits=0 loop= list=0 query=0
while [ $# -gt 0 ]; do
  case $1 in
    --query-gpu=*) gpu=${1#*=} ;;
    --query-compute-apps=*) apps=${1#*=} ;;
    --format=*)
      case ,${1#*=}, in *,noheader,*) noheader=1 ;; esac
      case ,${1#*=}, in *,nounits,*) nounits=1 ;; esac ;;
    -l | --loop) loop=$2; shift ;;
    -l[0-9]*) loop=${1#-l} ;;
    --loop=*) loop=${1#*=} ;;
    -lms) loop=$(awk "BEGIN{print $2/1000}"); shift ;;
    --loop-ms=*) loop=$(awk "BEGIN{print ${1#*=}/1000}") ;;
    -i | --id) shift ;;
    --id=*) ;;
    -L | --list-gpus) list=1 ;;
    -q | --query) query=1 ;;
    -h | --help) echo 'NVIDIA System Management Interface -- v580.95.05 (simulated)'; exit 0 ;;
    *) echo "Invalid combination of input arguments. Please run 'nvidia-smi -h' for help."; exit 2 ;;
  esac
  shift
done

unit() { # value unit
  if [ "$nounits" = 1 ]; then out="$out, $1"; else out="$out, $1 $2"; fi
}

row() {
  read -r util temp power clock < "$H/state/gpu"
  out=
  IFS=,
  for f in $gpu; do
    unset IFS
    case ${f# } in
      name | gpu_name) out="$out, NVIDIA GB10" ;;
      index) out="$out, 0" ;;
      count) out="$out, 1" ;;
      uuid | gpu_uuid) out="$out, GPU-51a1a7ed-0000-4000-8000-000000000001" ;;
      serial) out="$out, [N/A]" ;;
      pci.bus_id | gpu_bus_id) out="$out, 0000000F:01:00.0" ;;
      driver_version) out="$out, 580.95.05" ;;
      compute_cap) out="$out, 12.1" ;;
      timestamp) out="$out, $(date '+%Y/%m/%d %H:%M:%S').000" ;;
      pstate) out="$out, P0" ;;
      persistence_mode) out="$out, Enabled" ;;
      utilization.gpu) unit "$util" % ;;
      utilization.memory) unit 0 % ;;
      temperature.gpu) out="$out, $temp" ;;
      temperature.memory) out="$out, N/A" ;;
      power.draw | power.draw.average | power.draw.instant) unit "$power" W ;;
      clocks.sm | clocks.current.sm | clocks.gr | clocks.current.graphics) unit "$clock" MHz ;;
      clocks.max.sm | clocks.max.graphics) unit 3003 MHz ;;
      clocks_throttle_reasons.active | clocks_event_reasons.active) out="$out, 0x0000000000000000" ;;
      clocks_throttle_reasons.* | clocks_event_reasons.*) out="$out, Not Active" ;;
      memory.* | fan.speed | power.* | clocks.* | ecc.* | pcie.* | mig.* | enforced.* | \
        display_* | encoder.* | decoder.* | vbios_version | compute_mode) out="$out, [N/A]" ;;
      *)
        echo "Field \"$f\" is not a valid field to query."
        echo
        exit 2 ;;
    esac
  done
  unset IFS
  echo "${out#, }"
}

header() { # fields
  line=
  IFS=,
  for f in $1; do
    f=${f# }
    case $f in
      utilization.*) f="$f [%]" ;;
      power.*) f="$f [W]" ;;
      clocks.*) f="$f [MHz]" ;;
      memory.* | used_memory | used_gpu_memory) f="$f [MiB]" ;;
    esac
    line="$line, $f"
  done
  unset IFS
  echo "${line#, }"
}

processes() {
  while IFS='|' read -r pid name mib; do
    out=
    IFS=,
    for f in $apps; do
      unset IFS
      case ${f# } in
        pid) out="$out, $pid" ;;
        process_name | name) out="$out, $name" ;;
        used_memory | used_gpu_memory) unit "$mib" MiB ;;
        gpu_uuid) out="$out, GPU-51a1a7ed-0000-4000-8000-000000000001" ;;
        gpu_name) out="$out, NVIDIA GB10" ;;
        gpu_bus_id) out="$out, 0000000F:01:00.0" ;;
        *) out="$out, [N/A]" ;;
      esac
    done
    unset IFS
    echo "${out#, }"
  done < "$H/state/compute"
}

screen() {
  read -r util temp power clock < "$H/state/gpu"
  cat <<END
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 580.95.05 (simulated)  Driver Version: 580.95.05      CUDA Version: 13.0     |
|   0  NVIDIA GB10   ${temp}C   ${power}W / N/A   Not Supported   ${util}%   Default      |
+-----------------------------------------------------------------------------------------+
END
  while IFS='|' read -r pid name mib; do
    echo "|    0   N/A  N/A  $pid  C  $name  ${mib}MiB |"
  done < "$H/state/compute"
}

once() {
  read -r delay < "$H/state/smi_delay"
  [ "$delay" = 0 ] || sleep "$delay"
  if [ -n "$gpu" ]; then row
  elif [ -n "$apps" ]; then processes
  elif [ "$list" = 1 ]; then echo 'GPU 0: NVIDIA GB10 (UUID: GPU-51a1a7ed-0000-4000-8000-000000000001)'
  else screen
  fi
}

if [ "$noheader" = 0 ]; then
  if [ -n "$gpu" ]; then header "$gpu"; elif [ -n "$apps" ]; then header "$apps"; fi
fi
once
while [ -n "$loop" ]; do
  sleep "$loop"
  once
done
