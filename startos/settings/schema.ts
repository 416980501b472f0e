/**
 * config.yaml, strictly: what the app accepts and nothing else. The SDK does not enforce patterns
 * and bounds of a form when an action is run, so every handler goes through here.
 */
import { z } from '@start9labs/start-sdk'
import {
  AUDIO_CEILING,
  AUDIO_KINDS,
  AUDIO_NUMBERS,
  Bound,
  CLIENT_IN_FLIGHT,
  DIALECTS,
  ECHOES,
  ENGINE_NUMBERS,
  GATEWAY_NUMBERS,
  LAUNCHERS,
  LOGINS,
  LOG_LEVELS,
  MAX_IN_FLIGHT,
  ON_DEATH,
  OVERLAPS,
  PATTERNS,
  PORT,
  Pattern,
  SCHEMES,
  SERVICE_KINDS,
  UPSTREAM_CLIENTS,
} from './values'

const text = ({ regex, description }: Pattern) =>
  z
    .string()
    .trim()
    .regex(new RegExp(regex), { error: () => `use ${lowerFirst(description)}` })

const bounded = ({
  min,
  max,
  integer,
}: Pick<Bound, 'min' | 'max' | 'integer'>) =>
  (integer ? z.int() : z.number()).min(min).max(max)

const number = (bound: Bound) => bounded(bound).default(bound.default)
const optional = <T extends z.ZodType>(shape: T) =>
  shape.nullable().default(null)
const lowerFirst = (words: string) => words[0].toLowerCase() + words.slice(1)

/** As PurePosixPath writes it: POSIX leaves exactly two leading slashes alone. */
function normalised(path: string): string {
  const lead = /^\/\/(?!\/)/.test(path) ? '//' : '/'
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  return lead + parts.join('/')
}

const remotePath = z
  .string()
  .trim()
  .refine(
    (path) =>
      path.startsWith('/') &&
      !path.split('/').includes('..') &&
      normalised(path) === path,
    { error: "use an absolute path without '..' or a trailing slash" },
  )
  .refine((path) => !/\p{C}|(?! )\p{Z}/u.test(path), {
    error: 'holds a character that cannot be seen',
  })

export const host = z.strictObject({
  name: text(PATTERNS.name),
  address: text(PATTERNS.address),
  port: number(PORT),
  user: text(PATTERNS.user).default('ubuntu'),
  cluster_address: optional(text(PATTERNS.address)),
  labels: z.array(text(PATTERNS.label)).default([]),
})

export const engine = z.strictObject({
  launcher: z.enum(LAUNCHERS).default('docker'),
  image: text(PATTERNS.image).default('vllm-node'),
  container: text(PATTERNS.container).default('spark-control-engine'),
  port: number(ENGINE_NUMBERS.port),
  model_roots: z.array(remotePath).default([]),
  hf_home: optional(remotePath),
  default_host: optional(text(PATTERNS.name)),
  launch_cluster_dir: optional(remotePath),
  eth_if: optional(text(PATTERNS.interfaces)),
  ib_if: optional(text(PATTERNS.interfaces)),
  bare_venv: optional(remotePath),
  drain_seconds: number(ENGINE_NUMBERS.drain_seconds),
  stop_seconds: number(ENGINE_NUMBERS.stop_seconds),
  memory_wait_seconds: number(ENGINE_NUMBERS.memory_wait_seconds),
  start_seconds: number(ENGINE_NUMBERS.start_seconds),
  no_progress_seconds: number(ENGINE_NUMBERS.no_progress_seconds),
  answer_seconds: number(ENGINE_NUMBERS.answer_seconds),
  host_lost_seconds: number(ENGINE_NUMBERS.host_lost_seconds),
  guard_bytes: number(ENGINE_NUMBERS.guard_bytes),
  on_death: z.enum(ON_DEATH).default('restart'),
  restart_limit: number(ENGINE_NUMBERS.restart_limit),
  max_models: number(ENGINE_NUMBERS.max_models),
  overlap: z.enum(OVERLAPS).default('auto'),
})

export const service = z
  .strictObject({
    name: text(PATTERNS.name),
    kind: z.enum(SERVICE_KINDS),
    host: text(PATTERNS.name),
    port: bounded(PORT),
    scheme: z.enum(SCHEMES).default('http'),
    container: optional(text(PATTERNS.container)),
    ssh_user: optional(text(PATTERNS.user)),
    health_path: optional(text(PATTERNS.healthPath)),
    max_in_flight: optional(bounded({ ...MAX_IN_FLIGHT, integer: true })),
    models: z.array(text(PATTERNS.modelName)).default([]),
    model_sent: optional(text(PATTERNS.modelName)),
    path_prefix: optional(text(PATTERNS.healthPath)),
    dialect: z.enum(DIALECTS).default('auto'),
    native_stream: z.boolean().default(false),
  })
  .refine(
    ({ kind, max_in_flight }) =>
      !AUDIO_KINDS.includes(kind) || (max_in_flight ?? 0) <= AUDIO_CEILING,
    {
      path: ['max_in_flight'],
      error: `use 1 to ${AUDIO_CEILING} for speech to text and for who spoke when`,
    },
  )

export const gateway = z.strictObject({
  max_upload_mb: number(GATEWAY_NUMBERS.max_upload_mb),
  queue_seconds: number(GATEWAY_NUMBERS.queue_seconds),
  queue_limit: number(GATEWAY_NUMBERS.queue_limit),
  client_in_flight: bounded(CLIENT_IN_FLIGHT)
    .nullable()
    .default(CLIENT_IN_FLIGHT.default),
  auto_swap: z.boolean().default(true),
  batch_seconds: number(GATEWAY_NUMBERS.batch_seconds),
  residency_seconds: number(GATEWAY_NUMBERS.residency_seconds),
  default_model: optional(text(PATTERNS.modelName)),
  default_after_seconds: number(GATEWAY_NUMBERS.default_after_seconds),
  bridge: optional(text(PATTERNS.modelName)),
  keepalive_seconds: number(GATEWAY_NUMBERS.keepalive_seconds),
  head_seconds: number(GATEWAY_NUMBERS.head_seconds),
  stream_head_seconds: number(GATEWAY_NUMBERS.stream_head_seconds),
  socket_accept_seconds: number(GATEWAY_NUMBERS.socket_accept_seconds),
  socket_idle_seconds: number(GATEWAY_NUMBERS.socket_idle_seconds),
  socket_seconds: number(GATEWAY_NUMBERS.socket_seconds),
  require_key: z.boolean().default(false),
  upstream_client: z.enum(UPSTREAM_CLIENTS).default('pooled'),
  fast_lane: z.boolean().default(true),
  cache_mb: number(GATEWAY_NUMBERS.cache_mb),
  cache_seconds: number(GATEWAY_NUMBERS.cache_seconds),
})

export const audio = z.strictObject({
  max_transcribe_seconds: number(AUDIO_NUMBERS.max_transcribe_seconds),
  max_diarize_seconds: number(AUDIO_NUMBERS.max_diarize_seconds),
  long_seconds: number(AUDIO_NUMBERS.long_seconds),
  part_seconds: number(AUDIO_NUMBERS.part_seconds),
  overlap_seconds: number(AUDIO_NUMBERS.overlap_seconds),
  speaker_distance: number(AUDIO_NUMBERS.speaker_distance),
  max_recordings: number(AUDIO_NUMBERS.max_recordings),
  spool_mb: number(AUDIO_NUMBERS.spool_mb),
  echo: z.enum(ECHOES).default('auto'),
  referee: text(PATTERNS.modelName).default('off'),
  referee_seconds: number(AUDIO_NUMBERS.referee_seconds),
  max_streams: number(AUDIO_NUMBERS.max_streams),
  stream_step_seconds: number(AUDIO_NUMBERS.stream_step_seconds),
  stream_window_seconds: number(AUDIO_NUMBERS.stream_window_seconds),
  stream_buffer_seconds: number(AUDIO_NUMBERS.stream_buffer_seconds),
  stream_resume_seconds: number(AUDIO_NUMBERS.stream_resume_seconds),
})

export const web = z.strictObject({
  allowed_hosts: z.array(text(PATTERNS.publicName)).default([]),
})

export const auth = z.strictObject({
  mode: z.enum(LOGINS).default('open'),
})

/** `format` is for terminals, of which a service has none. */
export const log = z.strictObject({
  level: z.enum(LOG_LEVELS).default('info'),
})

/** The sections that forms here can change. */
export const SECTIONS = {
  hosts: z.array(host),
  engine,
  services: z.array(service),
  gateway,
  audio,
  web,
  auth,
  log,
} as const

export type Host = z.infer<typeof host>
export type Service = z.infer<typeof service>
export type Engine = z.infer<typeof engine>

/** `value` as `shape` has it, or an error whose sentence names every setting that is wrong. */
export function checked<T extends z.ZodType>(
  shape: T,
  value: unknown,
  where: string,
): z.infer<T> {
  const result = shape.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.map(
    (issue) => `${[where, ...issue.path].join('.')}: ${issue.message}`,
  )
  throw new Error(`Not saved. ${problems.join('; ')}`)
}
