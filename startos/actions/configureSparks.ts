import { sdk } from '../sdk'
import { listed, readSections, saveSections, shown } from '../files/config'
import { disagreements, refuse } from '../settings/agree'
import { Host, SECTIONS, Service, checked, engine } from '../settings/schema'
import { ENGINE_NUMBERS, PATTERNS, PORT } from '../settings/values'
import { choice, number, optionalText, requiredText, texts } from './fields'

const { InputSpec, List, Value } = sdk

const hostForm = InputSpec.of({
  name: requiredText(PATTERNS.name, {
    name: 'Name',
    description: 'How the Spark is called here, on pages and in the API.',
    placeholder: 'spark-1',
  }),
  address: requiredText(PATTERNS.address, {
    name: 'Address',
    description:
      'Its IP address, or a DNS name that your router knows. Names that end in .local may not be found from here.',
    placeholder: '192.0.2.11',
  }),
  port: number(PORT, {
    name: 'SSH port',
    description: 'Port of its SSH server.',
  }),
  user: requiredText(
    PATTERNS.user,
    { name: 'SSH user', description: 'Must be able to use docker.' },
    'ubuntu',
  ),
  cluster_address: optionalText(PATTERNS.address, {
    name: 'Cluster address',
    description:
      'Its address on the fast link between Sparks, for models of several Sparks.',
    placeholder: '198.51.100.11',
  }),
  labels: texts(PATTERNS.label, {
    name: 'Labels',
    description:
      'Free words; the first Spark labelled llm runs one-Spark models.',
    placeholder: 'llm',
  }),
})

const engineForm = InputSpec.of({
  launcher: choice(
    {
      docker: 'docker: a container with vLLM',
      'launch-cluster': 'launch-cluster: spark-vllm-docker on the Spark',
      bare: 'bare: vllm of a virtual environment',
    },
    'docker',
    {
      name: 'Launcher',
      description:
        'What starts one-Spark models; models of several Sparks use launch-cluster.',
    },
  ),
  image: requiredText(
    PATTERNS.image,
    { name: 'Image', description: 'Container image with vLLM on the Sparks.' },
    'vllm-node',
  ),
  container: requiredText(
    PATTERNS.container,
    { name: 'Container', description: "Name of the engine's container." },
    'spark-control-engine',
  ),
  port: number(ENGINE_NUMBERS.port, {
    name: 'Engine port',
    description: 'Port the engine serves HTTP on.',
  }),
  model_roots: texts(PATTERNS.path, {
    name: 'Model directories',
    description: 'Directories on the Sparks where local models may live.',
    placeholder: '/srv/models',
  }),
  hf_home: optionalText(PATTERNS.path, {
    name: 'Hugging Face cache',
    description:
      'Directory on the Sparks; empty: ~/.cache/huggingface of the user.',
  }),
  default_host: optionalText(PATTERNS.name, {
    name: 'Default Spark',
    description:
      'Where one-Spark models run; empty: the first one labelled llm.',
  }),
  launch_cluster_dir: optionalText(PATTERNS.path, {
    name: 'launch-cluster directory',
    description:
      'Checkout of spark-vllm-docker on the first Spark; empty: in the home directory.',
  }),
  eth_if: optionalText(PATTERNS.interfaces, {
    name: 'Ethernet interface',
    description: 'Given to launch-cluster; empty: it detects.',
  }),
  ib_if: optionalText(PATTERNS.interfaces, {
    name: 'InfiniBand interfaces',
    description: 'Given to launch-cluster; empty: it detects.',
  }),
  bare_venv: optionalText(PATTERNS.path, {
    name: 'vLLM virtual environment',
    description: 'Whose bin/vllm the bare launcher runs; empty: that of PATH.',
  }),
})

/** The part of the engine that is about where and how; how long is in limits.ts. */
const placed = engine.pick({
  launcher: true,
  image: true,
  container: true,
  port: true,
  model_roots: true,
  hf_home: true,
  default_host: true,
  launch_cluster_dir: true,
  eth_if: true,
  ib_if: true,
  bare_venv: true,
})

export const configureSparks = sdk.Action.withInput(
  'configure-sparks',
  {
    name: 'Configure Sparks',
    description:
      'Your DGX Sparks, how they are reached and how models are started.',
    warning: null,
    allowedStatuses: 'any',
    group: 'Cluster',
    visibility: 'enabled',
  },
  InputSpec.of({
    hosts: Value.list(
      List.obj(
        {
          name: 'Sparks',
          description: 'One to eight.',
          minLength: 1,
          maxLength: 8,
        },
        {
          spec: hostForm,
          displayAs: '{{name}} ({{user}}@{{address}}:{{port}})',
          uniqueBy: 'name',
        },
      ),
    ),
    engine: Value.object(
      { name: 'Engine', description: 'How models are started on them.' },
      engineForm,
    ),
  }),
  async () => {
    const sections = await readSections()
    return {
      hosts: listed<Host>(sections, 'hosts'),
      engine: placed.strip().parse(shown(sections, 'engine')),
    }
  },
  async ({ input }) => {
    const hosts = checked(SECTIONS.hosts.min(1).max(8), input.hosts, 'hosts')
    const fresh = checked(placed, input.engine, 'engine')
    const services = listed<Service>(await readSections(), 'services')
    refuse(
      disagreements({
        hosts,
        // What has no name or host is wrong by itself, which the form of services shows.
        services: services.filter(
          (one): one is Service => !!one.name && !!one.host,
        ),
        defaultHost: fresh.default_host,
      }),
    )
    await saveSections({ hosts, engine: fresh })
  },
)
