import { sdk } from '../sdk'
import { readSections, saveSections, shown } from '../files/config'
import { audio, checked, engine, gateway } from '../settings/schema'
import {
  AUDIO_NUMBERS,
  CLIENT_IN_FLIGHT,
  ENGINE_NUMBERS,
  GATEWAY_NUMBERS,
  PATTERNS,
} from '../settings/values'
import { choice, number, optionalText } from './fields'

const { InputSpec, Value } = sdk
const seconds = { units: 'seconds' }

/** The part of the engine that is about how long and how much. */
const timed = engine.pick({
  drain_seconds: true,
  stop_seconds: true,
  memory_wait_seconds: true,
  start_seconds: true,
  no_progress_seconds: true,
  answer_seconds: true,
  host_lost_seconds: true,
  guard_bytes: true,
  on_death: true,
  restart_limit: true,
  max_models: true,
  overlap: true,
})

const gatewayForm = InputSpec.of({
  max_upload_mb: number(GATEWAY_NUMBERS.max_upload_mb, {
    name: 'Largest upload',
    description: 'Largest request body.',
    units: 'MiB',
  }),
  queue_seconds: number(GATEWAY_NUMBERS.queue_seconds, {
    name: 'Wait for a model',
    description: 'How long a request may wait for its model or its turn.',
    ...seconds,
  }),
  queue_limit: number(GATEWAY_NUMBERS.queue_limit, {
    name: 'Waiting requests',
    description: 'How many may wait for one model or kind of service.',
  }),
  client_in_flight: Value.number({
    name: 'Requests of one client',
    description: 'How many it gets answered at once; empty: no bound.',
    required: false,
    min: CLIENT_IN_FLIGHT.min,
    max: CLIENT_IN_FLIGHT.max,
    integer: true,
    default: CLIENT_IN_FLIGHT.default,
  }),
  auto_swap: Value.toggle({
    name: 'Swap on request',
    description: 'Asking for a model that is not loaded swaps it in.',
    default: true,
  }),
  batch_seconds: number(GATEWAY_NUMBERS.batch_seconds, {
    name: 'Loaded model first',
    description:
      'How long requests for the loaded model go first while others wait for another one.',
    ...seconds,
  }),
  residency_seconds: number(GATEWAY_NUMBERS.residency_seconds, {
    name: 'Stay',
    description: 'How long a model stays before a request may replace it.',
    ...seconds,
  }),
  default_model: optionalText(PATTERNS.modelName, {
    name: 'Default model',
    description: 'Returns when another one has been idle.',
  }),
  default_after_seconds: number(GATEWAY_NUMBERS.default_after_seconds, {
    name: 'Return after',
    description: 'How long another model must have been idle.',
    ...seconds,
  }),
  bridge: optionalText(PATTERNS.modelName, {
    name: 'Bridge',
    description:
      'A served model or a service that answers chats while their model is loaded.',
  }),
  keepalive_seconds: number(GATEWAY_NUMBERS.keepalive_seconds, {
    name: 'Sign of life',
    description: 'Time between two comments to a stream that waits.',
    ...seconds,
  }),
  head_seconds: number(GATEWAY_NUMBERS.head_seconds, {
    name: 'Beginning of an answer',
    description: 'How long an engine may take until its answer begins.',
    ...seconds,
  }),
  stream_head_seconds: number(GATEWAY_NUMBERS.stream_head_seconds, {
    name: 'Beginning of a stream',
    description: 'The same for streams and for what is answered quickly.',
    ...seconds,
  }),
  socket_accept_seconds: number(GATEWAY_NUMBERS.socket_accept_seconds, {
    name: 'WebSocket that waits',
    description: 'How long it waits for its turn before it is accepted.',
    ...seconds,
  }),
  socket_idle_seconds: number(GATEWAY_NUMBERS.socket_idle_seconds, {
    name: 'Idle WebSocket',
    description: 'How long it may carry no message; 0: no bound.',
    ...seconds,
  }),
  socket_seconds: number(GATEWAY_NUMBERS.socket_seconds, {
    name: 'Longest WebSocket',
    description: 'How long it may be open at all; 0: no bound.',
    ...seconds,
  }),
  require_key: Value.toggle({
    name: 'Require an API key',
    description: 'Programs without one are refused.',
    default: false,
  }),
  upstream_client: choice(
    { pooled: 'Our own pool', aiohttp: 'aiohttp' },
    'pooled',
    { name: 'HTTP client', description: 'Takes effect at the next start.' },
  ),
  fast_lane: Value.toggle({
    name: 'Fast lane',
    description:
      'Plain requests take a shorter way at half the CPU; answers are the same.',
    default: true,
  }),
  cache_mb: number(GATEWAY_NUMBERS.cache_mb, {
    name: 'Kept answers',
    description:
      'Disk space for repeated embeddings and transcripts; 0: none are kept.',
    units: 'MiB',
  }),
  cache_seconds: number(GATEWAY_NUMBERS.cache_seconds, {
    name: 'Keep answers for',
    description: 'How long a kept answer is good.',
    ...seconds,
  }),
})

const audioForm = InputSpec.of({
  max_transcribe_seconds: number(AUDIO_NUMBERS.max_transcribe_seconds, {
    name: 'Longest recording',
    description: 'Longest recording that is transcribed or translated.',
    ...seconds,
  }),
  max_diarize_seconds: number(AUDIO_NUMBERS.max_diarize_seconds, {
    name: 'Longest recording with speakers',
    description: 'Longest recording in which speakers are told apart.',
    ...seconds,
  }),
  long_seconds: number(AUDIO_NUMBERS.long_seconds, {
    name: 'Heard in parts',
    description: 'A longer recording is cut at silences and heard in parts.',
    ...seconds,
  }),
  part_seconds: number(AUDIO_NUMBERS.part_seconds, {
    name: 'Length of a part',
    description: 'About how long such a part is.',
    ...seconds,
  }),
  overlap_seconds: number(AUDIO_NUMBERS.overlap_seconds, {
    name: 'Overlap of parts',
    description: 'By how much two neighbouring parts overlap.',
    ...seconds,
  }),
  speaker_distance: number(AUDIO_NUMBERS.speaker_distance, {
    name: 'Distance of voices',
    description:
      'How far apart two embeddings of one person may be. It depends on the diarizer.',
  }),
  max_recordings: number(AUDIO_NUMBERS.max_recordings, {
    name: 'Recordings at once',
    description: 'Heard in parts or converted at once; others wait.',
  }),
  spool_mb: number(AUDIO_NUMBERS.spool_mb, {
    name: 'Space for recordings',
    description: 'That all recordings under way may take.',
    units: 'MiB',
  }),
  echo: choice(
    { auto: 'When there is one', on: 'Always', off: 'Never' },
    'auto',
    {
      name: 'Echo',
      description:
        'Whether words that the microphone heard of the loudspeaker are looked for.',
    },
  ),
  referee: Value.text({
    name: 'Referee',
    description:
      'Asked who said what sound does not settle: off, auto, or the name of a model.',
    required: true,
    default: 'off',
    patterns: [PATTERNS.modelName],
  }),
  referee_seconds: number(AUDIO_NUMBERS.referee_seconds, {
    name: 'Time for the referee',
    description: 'How long it may take for one recording.',
    ...seconds,
  }),
  max_streams: number(AUDIO_NUMBERS.max_streams, {
    name: 'Live streams',
    description: 'How many may be open at once.',
  }),
  stream_step_seconds: number(AUDIO_NUMBERS.stream_step_seconds, {
    name: 'Step of a stream',
    description: 'How much new speech is heard at a time.',
    ...seconds,
  }),
  stream_window_seconds: number(AUDIO_NUMBERS.stream_window_seconds, {
    name: 'Window of a stream',
    description: 'The longest stretch that a recogniser is asked for.',
    ...seconds,
  }),
  stream_buffer_seconds: number(AUDIO_NUMBERS.stream_buffer_seconds, {
    name: 'Buffer of a stream',
    description: 'Sound that is kept for a recogniser that is behind.',
    ...seconds,
  }),
  stream_resume_seconds: number(AUDIO_NUMBERS.stream_resume_seconds, {
    name: 'Resume a stream',
    description: 'How long a dropped one can be taken up again.',
    ...seconds,
  }),
})

const engineForm = InputSpec.of({
  drain_seconds: number(ENGINE_NUMBERS.drain_seconds, {
    name: 'Drain',
    description: 'How long open requests may finish before a swap.',
    ...seconds,
  }),
  stop_seconds: number(ENGINE_NUMBERS.stop_seconds, {
    name: 'Stop',
    description: 'How long an engine may take to stop before it is killed.',
    ...seconds,
  }),
  memory_wait_seconds: number(ENGINE_NUMBERS.memory_wait_seconds, {
    name: 'Memory',
    description: "How long to wait until a stopped engine's memory is back.",
    ...seconds,
  }),
  start_seconds: number(ENGINE_NUMBERS.start_seconds, {
    name: 'Start',
    description: 'How long the start command may take.',
    ...seconds,
  }),
  no_progress_seconds: number(ENGINE_NUMBERS.no_progress_seconds, {
    name: 'No progress',
    description: 'A load without any progress for this long has failed.',
    ...seconds,
  }),
  answer_seconds: number(ENGINE_NUMBERS.answer_seconds, {
    name: 'First answer',
    description: 'How long the first real answer may take.',
    ...seconds,
  }),
  host_lost_seconds: number(ENGINE_NUMBERS.host_lost_seconds, {
    name: 'Lost Spark',
    description: 'How long a swap waits for a Spark that went silent.',
    ...seconds,
  }),
  guard_bytes: number(ENGINE_NUMBERS.guard_bytes, {
    name: 'Memory guard',
    description:
      'A loading engine is killed below this much available memory; 0: never.',
    units: 'bytes',
  }),
  on_death: choice(
    {
      restart: 'Start it again',
      rollback: 'Go back to the model before',
      none: 'Nothing',
    },
    'restart',
    { name: 'When an engine dies', description: 'While it is serving.' },
  ),
  restart_limit: number(ENGINE_NUMBERS.restart_limit, {
    name: 'Restarts',
    description: 'Restarts of a dead engine within ten minutes.',
  }),
  max_models: number(ENGINE_NUMBERS.max_models, {
    name: 'Models at once',
    description: 'Where memory allows.',
  }),
  overlap: choice({ auto: 'When both models fit', never: 'Never' }, 'auto', {
    name: 'Load before unloading',
    description: 'The new model is loaded while the old one still answers.',
  }),
})

export const limits = sdk.Action.withInput(
  'limits',
  {
    name: 'Limits and waiting times',
    description: 'Of the gateway, of recordings, and of a swap.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Cluster',
    visibility: 'enabled',
  },
  InputSpec.of({
    gateway: Value.object(
      { name: 'Gateway', description: 'The OpenAI-compatible address.' },
      gatewayForm,
    ),
    audio: Value.object(
      { name: 'Audio', description: 'Speech and speakers.' },
      audioForm,
    ),
    engine: Value.object(
      { name: 'Swap', description: 'How long its steps may take.' },
      engineForm,
    ),
  }),
  async () => {
    const sections = await readSections()
    return {
      gateway: shown(sections, 'gateway'),
      audio: shown(sections, 'audio'),
      engine: timed.strip().parse(shown(sections, 'engine')),
    }
  },
  async ({ input }) => {
    await saveSections({
      gateway: checked(gateway, input.gateway, 'gateway'),
      audio: checked(audio, input.audio, 'audio'),
      engine: checked(timed, input.engine, 'engine'),
    })
  },
)
