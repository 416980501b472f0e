import { sdk } from './sdk'

/** None: the Sparks are other machines, and nothing else on this server is needed. */
export const setDependencies = sdk.setupDependencies(async () => ({}))
