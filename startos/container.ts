/**
 * The app's image in a container that lives as long as one job: what the package's scripts in
 * assets/ run in, with the app's own Python environment.
 */
import { sdk } from './sdk'
import { ASSETS, DATA, IMAGE, PROGRAM, RUN_AS } from './shared'

export const dataMount = () =>
  sdk.Mounts.of().mountVolume({
    volumeId: 'main',
    subpath: null,
    mountpoint: DATA,
    readonly: false,
  })

const scriptMounts = () =>
  dataMount().mountAssets({ subpath: null, mountpoint: ASSETS })

/** The Python that the app itself runs on lies beside the app's program, whatever its path is. */
const WITH_THE_APPS_PYTHON = `exec "$(dirname "$(readlink -f "$(command -v ${PROGRAM})")")/python" "$@"`

type Effects = Parameters<typeof sdk.SubContainer.withTemp>[0]

/** One script of assets/, on the Python that the app itself runs on. */
export const runScript = (
  effects: Effects,
  script: string,
  args: string[],
  input = '',
) =>
  run(
    effects,
    script,
    ['sh', '-c', WITH_THE_APPS_PYTHON, 'sh', `${ASSETS}/${script}`, ...args],
    input,
  )

/** The app's own program. */
export const runProgram = (effects: Effects, args: string[], input = '') =>
  run(effects, `${PROGRAM} ${args[0]}`, [PROGRAM, ...args], input)

/**
 * Run a command as the app's user, in the data directory. `input` goes by stdin, so that nothing
 * secret is among the arguments. Returns what it printed; a refusal (exit 1, one sentence on
 * stderr) is thrown as it stands.
 */
async function run(
  effects: Effects,
  name: string,
  command: string[],
  input: string,
): Promise<string> {
  return sdk.SubContainer.withTemp(
    effects,
    { imageId: IMAGE },
    scriptMounts(),
    name,
    async (sub) => {
      // A fresh volume is root's; not recursive, main does that.
      await sub.execFail(['chown', RUN_AS, DATA], { user: 'root' })
      const done = await sub.exec(command, {
        user: RUN_AS,
        cwd: DATA,
        ...(input ? { input } : {}),
      })
      const said = String(done.stderr).trim()
      if (done.exitCode === 0) return String(done.stdout).trim()
      if (done.exitCode === 1 && said) throw new Error(said.split('\n').at(-1))
      console.error(
        `${name} ended with ${done.exitCode ?? done.exitSignal}: ${said}`,
      )
      throw new Error('That did not work; the log of the service says why.')
    },
  )
}
