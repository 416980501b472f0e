/**
 * Plays StartOS for the bundled package: its files lie under $STARTOS_HOST, the calls that the
 * package makes are recorded, and one line of JSON on stdin is one request.
 */
'use strict'
const fs = require('node:fs')
const promises = require('node:fs/promises')
const path = require('node:path')
const readline = require('node:readline')

const HOST = process.env.STARTOS_HOST
const MEDIA = '/media/startos'
const moved = (place) =>
  typeof place === 'string' && (place === MEDIA || place.startsWith(MEDIA + '/'))
    ? HOST + place.slice(MEDIA.length)
    : place

for (const [library, names] of [
  [
    promises,
    'access chmod copyFile lstat mkdir open readFile readdir rename rm stat unlink watch writeFile',
  ],
  [fs, 'existsSync mkdirSync readFileSync statSync watch writeFileSync'],
])
  for (const name of names.split(' ')) {
    const real = library[name]
    library[name] = (...args) => real.call(library, ...args.map(moved))
  }
const owned = []
promises.chown = async (place, uid, gid) => {
  await promises.stat(place)
  owned.push([place, uid, gid])
}

// rsync is not on every machine that runs the tests: what it is asked for is recorded, and a plain
// copy without the excluded names is made. The package's rules are what is under test, not rsync.
const children = require('node:child_process')
const spawn = children.spawn
children.spawn = (program, args, options) =>
  program === 'rsync'
    ? spawn(process.execPath, [path.join(__dirname, 'rsync.cjs'), ...args.map(moved)], options)
    : spawn(program, args, options)

const fetched = globalThis.fetch
let appUrl = null
globalThis.fetch = (url, options) => {
  if (!appUrl) return Promise.reject(new TypeError('fetch failed'))
  return fetched(String(url).replace('http://127.0.0.1:9999', appUrl), options)
}

let calls = []
let version = null
let containers = 0
let events = 0
let retries = 0

function effects(eventId = `event-${++events}`) {
  const special = {
    eventId,
    isInContext: true,
    constRetry: () => void retries++,
    child: () => effects(eventId),
    onLeaveContext: () => {},
    clearCallbacks: async () => null,
    getDataVersion: async () => version,
    setDataVersion: async (args) => {
      version = args.version
      return null
    },
    getOsIp: async () => '10.0.3.1',
    subcontainer: {
      createFs: async ({ imageId, name }) => {
        calls.push({ name: 'subcontainer.createFs', args: { imageId, name } })
        const guid = `box-${++containers}`
        const root = path.join(HOST, 'subcontainers', guid)
        fs.mkdirSync(root, { recursive: true })
        return [root, guid]
      },
      destroyFs: async ({ guid }) => {
        calls.push({ name: 'subcontainer.destroyFs', args: { guid } })
        return null
      },
    },
  }
  const recorder = (name) =>
    new Proxy(() => {}, {
      get: (_, key) => (key === 'then' ? undefined : recorder(`${name}.${String(key)}`)),
      apply: (_, __, [args]) => {
        calls.push({ name, args: plain(args) })
        return Promise.resolve(null)
      },
    })
  return new Proxy(special, {
    get: (target, key) => (key in target ? target[key] : recorder(String(key))),
    set: (target, key, value) => ((target[key] = value), true),
  })
}

const plain = (value) => (value === undefined ? null : JSON.parse(JSON.stringify(value)))

const pkg = require(process.env.STARTOS_BUNDLE)
const opened = new Map()
let daemons = null

/** TypeScript modules of the package, for what is pure. */
function source(name) {
  const typescript = require(path.join(process.env.STARTOS_SOURCE, 'node_modules/typescript'))
  require.extensions['.ts'] ??= (module, file) =>
    module._compile(
      typescript.transpileModule(fs.readFileSync(file, 'utf8'), {
        compilerOptions: { module: 'CommonJS', target: 'ES2022', esModuleInterop: true },
      }).outputText,
      file,
    )
  return require(path.join(process.env.STARTOS_SOURCE, 'startos', `${name}.ts`))
}

const doors = {
  exports: async () => Object.keys(pkg).sort(),
  manifest: async () => pkg.manifest,
  init: async ({ kind }) => plain(await pkg.init({ effects: effects(), kind })),
  setVersion: async ({ to }) => void (version = to),
  version: async () => version,
  app: async ({ url }) => void (appUrl = url),
  actions: async () =>
    Object.fromEntries(
      calls.filter(({ name }) => name === 'action.export').map(({ args }) => [args.id, args]),
    ),
  form: async ({ id }) => {
    const e = effects()
    const { spec, value } = await pkg.actions.get(id).getInput({ effects: e, prefill: null })
    opened.set(id, e)
    return { spec, value }
  },
  run: async ({ id, input }) => {
    const action = pkg.actions.get(id)
    const e = opened.get(id) ?? effects()
    if (!opened.has(id)) await action.getInput({ effects: e, prefill: null })
    return await action.run({ effects: e, input: input ?? null })
  },
  main: async () => {
    daemons = await pkg.main({ effects: effects() })
    return daemons.entries.map(({ id, kind, requires }) => ({ id, kind, requires }))
  },
  ready: async ({ id }) => {
    const entry = daemons.entries.find((one) => one.id === id)
    return await readiness(entry).fn()
  },
  command: async ({ id }) => {
    const entry = daemons.entries.find((one) => one.id === id)
    return plain(inside(entry, 'exec'))
  },
  backup: async () => plain(await pkg.createBackup({ effects: effects() })),
  retries: async () => retries,
  /** Once main was asked to start again more often than that; the watchers take their time. */
  settled: async ({ more_than }) => {
    for (let tries = 0; retries <= more_than && tries < 500; tries++)
      await new Promise((done) => setTimeout(done, 10))
    return retries - more_than
  },
  owned: async () => owned,
  source: async ({ module, name, args }) => {
    const found = source(module)[name]
    return typeof found === 'function' ? found(...args) : found
  },
  schema: async () => {
    const { z } = require(path.join(
      process.env.STARTOS_SOURCE,
      'node_modules/@start9labs/start-sdk',
    ))
    const { SECTIONS } = source('settings/schema')
    return Object.fromEntries(
      Object.entries(SECTIONS).map(([name, shape]) => [
        name,
        z.toJSONSchema(shape, { io: 'input', unrepresentable: 'any' }),
      ]),
    )
  },
  judge: async ({ section, values }) => {
    const { SECTIONS } = source('settings/schema')
    return values.map((value) => {
      const result = SECTIONS[section].safeParse(value)
      return result.success ? { ok: true, data: result.data } : { ok: false }
    })
  },
}

/** Where the SDK keeps what a daemon was given; looked for by name, not by its own shape. */
function inside(value, key, depth = 0) {
  if (!value || typeof value !== 'object' || depth > 3) return undefined
  if (value[key]) return value[key]
  for (const one of Object.values(value)) {
    const found = inside(one, key, depth + 1)
    if (found) return found
  }
  return undefined
}
const readiness = (entry) => inside(entry, 'ready')

async function answer(line) {
  const { door, ...args } = JSON.parse(line)
  if (door !== 'actions') calls = []
  try {
    const value = await doors[door](args)
    return { value: plain(value), calls }
  } catch (error) {
    return { error: String(error?.message ?? error), calls }
  }
}

console.log = console.info = console.debug = console.warn = console.error
process.on('unhandledRejection', (error) => console.error('unhandled', error))
const lines = readline.createInterface({ input: process.stdin })
let last = Promise.resolve()
lines.on('line', (line) => {
  last = last
    .then(() => answer(line))
    .then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`))
})
lines.on('close', () => process.exit(0))
