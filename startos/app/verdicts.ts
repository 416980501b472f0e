/** What the health rows say; pure. Unknown is amber, never red: silence is not a fault found. */
import type { Current, Hosts } from './client'

export type Verdict = {
  result: 'success' | 'loading' | 'disabled' | 'failure'
  message: string
}

export function hostsVerdict({ hosts, problems }: Hosts): Verdict {
  if (problems.length)
    return { result: 'failure', message: `Settings not taken: ${problems[0]}` }
  if (!hosts.length)
    return {
      result: 'disabled',
      message: 'No Spark is configured: run Configure Sparks',
    }
  const told = (wanted: string) =>
    hosts
      .filter((host) => host.health === wanted)
      .map(({ name, reason }) => (reason ? `${name}: ${reason}` : name))
      .join('; ')
  const down = told('down')
  const unknown = told('unknown')
  if (down)
    return {
      result: 'failure',
      message: unknown ? `${down}; ${unknown}` : down,
    }
  if (unknown) return { result: 'loading', message: unknown }
  return { result: 'success', message: `Reached: ${told('up')}` }
}

export function engineVerdict({
  id,
  model,
  stage,
  percent,
  serving,
}: Current): Verdict {
  if (id) {
    const share = percent == null ? '' : ` (${Math.round(percent)} %)`
    return {
      result: 'loading',
      message: `${model ?? 'Unloading'}: ${stage ?? 'working'}${share}`,
    }
  }
  if (!serving) return { result: 'disabled', message: 'No model is loaded' }
  const where = `${serving.model} on ${serving.host}`
  if (serving.health === 'down')
    return {
      result: 'failure',
      message: `${where}: ${serving.reason || 'does not answer'}`,
    }
  if (serving.health !== 'up')
    return {
      result: 'loading',
      message: `${where}: ${serving.reason || 'not known'}`,
    }
  return { result: 'success', message: `Serving ${where}` }
}
