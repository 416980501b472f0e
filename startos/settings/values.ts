/**
 * The words of config.yaml: patterns, bounds, choices and defaults of every setting that a form
 * here can change. A form shows them and a handler enforces them, both from this one table.
 * The app's side is server/config/model.py; tests/startos holds the two against each other.
 */

export type Pattern = { regex: string; description: string }
export type Bound = {
  min: number
  max: number
  integer: boolean
  default: number
}

export const PATTERNS = {
  name: {
    regex: '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$',
    description: 'Lower-case letters, digits and inner hyphens, at most 63',
  },
  address: {
    regex: '^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?$',
    description: 'A DNS name or an IP address, without user or port',
  },
  user: {
    regex: '^[a-z_][a-z0-9_-]{0,31}$',
    description: "Lower-case letters, digits, '_' and '-', at most 32",
  },
  container: {
    regex: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$',
    description: "Letters, digits, '_', '.' and '-', at most 128",
  },
  image: {
    regex: '^(?!.*(\\.\\.|//))[a-z0-9][A-Za-z0-9._:/@-]{0,254}$',
    description: 'A form like registry/name:tag or name@sha256:digest',
  },
  label: {
    regex: '^[a-z0-9][a-z0-9._-]{0,62}$',
    description: "Lower-case letters, digits, '.', '_' and '-', at most 63",
  },
  interfaces: {
    regex:
      '^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,31}(,[A-Za-z0-9][A-Za-z0-9_.:@-]{0,31}){0,7}$',
    description: 'Interface names separated by commas, at most 8',
  },
  healthPath: {
    regex: '^/[A-Za-z0-9._~/?=&%-]{0,500}$',
    description: 'An absolute path like /health',
  },
  modelName: {
    regex: '^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$',
    description: 'Letters, digits and . _ : / @ + -, at most 200',
  },
  publicName: {
    regex: '^([A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?|\\*)$',
    description: 'A DNS name like spark.example.org, or *',
  },
  // What a form can tell of a path; the rest is in schema.ts.
  path: { regex: '^/', description: 'An absolute path like /srv/models' },
} as const satisfies Record<string, Pattern>

const whole = (min: number, max: number, value: number): Bound => ({
  min,
  max,
  integer: true,
  default: value,
})
const any = (min: number, max: number, value: number): Bound => ({
  ...whole(min, max, value),
  integer: false,
})

export const PORT = whole(1, 65535, 22)

export const ENGINE_NUMBERS = {
  port: whole(1, 65535, 8000),
  drain_seconds: any(0, 3600, 30),
  stop_seconds: any(0, 600, 10),
  memory_wait_seconds: any(0, 600, 60),
  start_seconds: any(1, 86400, 1800),
  no_progress_seconds: any(1, 86400, 600),
  answer_seconds: any(1, 3600, 300),
  host_lost_seconds: any(1, 86400, 120),
  guard_bytes: whole(0, 2 ** 40, 2 ** 30),
  restart_limit: whole(0, 100, 3),
  max_models: whole(1, 16, 1),
} as const

export const GATEWAY_NUMBERS = {
  max_upload_mb: whole(1, 2 ** 20, 512),
  queue_seconds: any(0, 86400, 900),
  queue_limit: whole(0, 100_000, 1000),
  batch_seconds: any(0, 86400, 60),
  residency_seconds: any(0, 86400, 10),
  default_after_seconds: any(1, 30 * 86400, 600),
  keepalive_seconds: any(1, 600, 10),
  head_seconds: any(1, 86400, 600),
  stream_head_seconds: any(1, 86400, 120),
  socket_accept_seconds: any(0, 600, 5),
  socket_idle_seconds: any(0, 86400, 300),
  socket_seconds: any(0, 30 * 86400, 0),
  cache_mb: whole(0, 2 ** 20, 0),
  cache_seconds: any(1, 365 * 86400, 7 * 86400),
} as const

export const AUDIO_NUMBERS = {
  max_transcribe_seconds: any(1, 604800, 36000),
  max_diarize_seconds: any(1, 604800, 7200),
  long_seconds: any(10, 86400, 600),
  part_seconds: any(10, 3600, 300),
  overlap_seconds: any(2, 30, 2),
  speaker_distance: any(0.05, 1.5, 0.35),
  max_recordings: whole(1, 64, 4),
  spool_mb: whole(64, 10000000, 8192),
  referee_seconds: any(1, 600, 20),
  max_streams: whole(1, 100000, 1000),
  stream_step_seconds: any(0.5, 10, 2),
  stream_window_seconds: any(6, 15, 12),
  stream_buffer_seconds: any(20, 300, 30),
  stream_resume_seconds: any(0, 3600, 30),
} as const

export const MAX_IN_FLIGHT = { min: 1, max: 1024 } as const
export const CLIENT_IN_FLIGHT = whole(1, 10_000, 256)
/** These run out of memory on a fourth long recording. */
export const AUDIO_KINDS: readonly string[] = ['asr', 'diarize']
export const AUDIO_CEILING = 3

export const LAUNCHERS = ['docker', 'launch-cluster', 'bare'] as const
export const ON_DEATH = ['restart', 'rollback', 'none'] as const
export const LOGINS = ['open', 'password'] as const
export const LOG_LEVELS = ['debug', 'info', 'warning', 'error'] as const
export const OVERLAPS = ['auto', 'never'] as const
export const ECHOES = ['auto', 'on', 'off'] as const
export const DIALECTS = [
  'auto',
  'openai',
  'speaches',
  'parakeet',
  'nim',
  'kokoro',
] as const
export const UPSTREAM_CLIENTS = ['pooled', 'aiohttp'] as const
export const SCHEMES = ['http', 'https'] as const
export const SERVICE_KINDS = [
  'asr',
  'tts',
  'embeddings',
  'rerank',
  'diarize',
  'qdrant',
  'llm',
  'web',
  'other',
] as const
