import { setupManifest } from '@start9labs/start-sdk'
import { PUBLIC_ADDRESS } from '../shared'
import { long, short } from './texts'

// s9pk.mk takes the package's name from the one line of this file that holds "id" and a colon.
export const manifest = setupManifest({
  id: 'spark-control',
  title: 'Spark Control',
  license: 'MIT',
  packageRepo: PUBLIC_ADDRESS,
  upstreamRepo: PUBLIC_ADDRESS,
  marketingUrl: PUBLIC_ADDRESS,
  donationUrl: null,
  description: { short, long },
  // `startos` is the package's own notes; the app never sees it.
  volumes: ['main', 'startos'],
  images: {
    app: {
      source: { dockerBuild: { workdir: '.', dockerfile: 'Dockerfile' } },
      arch: ['x86_64', 'aarch64'],
    },
  },
  hardwareRequirements: { ram: 512 * 1024 ** 2 },
  dependencies: {},
})
