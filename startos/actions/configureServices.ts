import { sdk } from '../sdk'
import { listed, readSections, saveSections } from '../files/config'
import { disagreements, refuse } from '../settings/agree'
import { Host, SECTIONS, Service, checked } from '../settings/schema'
import { MAX_IN_FLIGHT, PATTERNS, PORT } from '../settings/values'
import { choice, optionalText, requiredText, texts } from './fields'

const { InputSpec, List, Value } = sdk

const serviceForm = InputSpec.of({
  name: requiredText(PATTERNS.name, {
    name: 'Name',
    description: 'How the service is called here, on pages and in the API.',
    placeholder: 'parakeet',
  }),
  kind: choice(
    {
      asr: 'Speech to text',
      tts: 'Text to speech',
      embeddings: 'Embeddings',
      rerank: 'Reranking',
      diarize: 'Who spoke when',
      qdrant: 'Qdrant',
      llm: 'Language model',
      web: 'Web page',
      other: 'Something else',
    },
    'other',
    { name: 'Kind', description: 'Decides which requests are sent to it.' },
  ),
  host: requiredText(PATTERNS.name, {
    name: 'Spark',
    description: 'Name of the Spark it runs on, as in Configure Sparks.',
    placeholder: 'spark-1',
  }),
  port: Value.number({
    name: 'Port',
    description: 'Port it serves on.',
    required: true,
    default: null,
    integer: true,
    min: PORT.min,
    max: PORT.max,
  }),
  scheme: choice({ http: 'http', https: 'https' }, 'http', {
    name: 'Scheme',
    description: 'How it is spoken to.',
  }),
  container: optionalText(PATTERNS.container, {
    name: 'Container',
    description: 'Its container, for logs, start and stop.',
  }),
  ssh_user: optionalText(PATTERNS.user, {
    name: 'SSH user',
    description: "Who may use its container; empty: the Spark's user.",
  }),
  health_path: optionalText(PATTERNS.healthPath, {
    name: 'Health path',
    description: 'Answers 2xx when healthy; empty: the usual one of its kind.',
    placeholder: '/health',
  }),
  max_in_flight: Value.number({
    name: 'Requests at once',
    description:
      'Empty: 2 for speech to text and who spoke when (at most 3), else no bound.',
    required: false,
    default: null,
    integer: true,
    ...MAX_IN_FLIGHT,
  }),
  models: texts(PATTERNS.modelName, {
    name: 'Model names',
    description: 'That it answers to; empty: any.',
  }),
  model_sent: optionalText(PATTERNS.modelName, {
    name: 'Model name sent',
    description: 'Empty: the one that was asked for.',
  }),
  path_prefix: optionalText(PATTERNS.healthPath, {
    name: 'Path prefix',
    description: 'Put in front of every request to it.',
    placeholder: '/api',
  }),
  dialect: choice(
    {
      auto: 'By its answers',
      openai: 'OpenAI',
      speaches: 'speaches, faster-whisper',
      parakeet: 'Parakeet, NeMo',
      nim: 'NVIDIA NIM',
      kokoro: 'Kokoro',
    },
    'auto',
    {
      name: 'How it speaks',
      description: 'Of services of speech: what they can do.',
    },
  ),
  native_stream: Value.toggle({
    name: 'Answers live streams',
    description:
      'It answers WebSockets of speech itself. Else Spark Control does, and it hears them in pieces.',
    default: false,
  }),
})

export const configureServices = sdk.Action.withInput(
  'configure-services',
  {
    name: 'Configure services',
    description:
      'What else runs on the Sparks: voice, embeddings, a vector store. May stay empty.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Cluster',
    visibility: 'enabled',
  },
  InputSpec.of({
    services: Value.list(
      List.obj(
        { name: 'Services', description: 'Beside the language model.' },
        {
          spec: serviceForm,
          displayAs: '{{name}}: {{kind}} on {{host}}:{{port}}',
          uniqueBy: 'name',
        },
      ),
    ),
  }),
  async () => ({ services: listed<Service>(await readSections(), 'services') }),
  async ({ input }) => {
    const services = checked(SECTIONS.services, input.services, 'services')
    const hosts = listed<Host>(await readSections(), 'hosts')
    refuse(
      disagreements({
        hosts: hosts.map(({ name = '?' }) => ({ name })),
        services,
        defaultHost: null,
      }),
    )
    await saveSections({ services })
  },
)
