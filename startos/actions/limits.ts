import { sdk } from '../sdk'
import { readSections, saveSections, shown } from '../files/config'
import { audio, checked, engine, gateway } from '../settings/schema'
import {
  AUDIO_NUMBERS,
  ENGINE_NUMBERS,
  GATEWAY_NUMBERS,
} from '../settings/values'
import { choice, number } from './fields'

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
})

const gatewayForm = InputSpec.of({
  max_upload_mb: number(GATEWAY_NUMBERS.max_upload_mb, {
    name: 'Largest upload',
    description: 'Largest request body.',
    units: 'MiB',
  }),
  queue_seconds: number(GATEWAY_NUMBERS.queue_seconds, {
    name: 'Wait for a model',
    description: 'How long a request may wait for its model.',
    ...seconds,
  }),
  auto_swap: Value.toggle({
    name: 'Swap on request',
    description: 'Asking for a model that is not loaded swaps it in.',
    default: true,
  }),
})

const audioForm = InputSpec.of({
  max_diarize_seconds: number(AUDIO_NUMBERS.max_diarize_seconds, {
    name: 'Longest recording',
    description: 'Longest recording whose speakers are told apart.',
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
