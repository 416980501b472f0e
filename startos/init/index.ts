import { actions } from '../actions'
import { restoreInit } from '../backups'
import { setDependencies } from '../dependencies'
import { setInterfaces } from '../interfaces'
import { sdk } from '../sdk'
import { versionGraph } from '../versions'
import { firstSteps } from './firstSteps'

/** Restore and version first, by the SDK's rule; tasks name actions, so these come before. */
export const init = sdk.setupInit(
  restoreInit,
  versionGraph,
  setInterfaces,
  setDependencies,
  actions,
  firstSteps,
)

export const uninit = sdk.setupUninit(versionGraph)
