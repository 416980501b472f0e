/** Copies a folder as rsync would with the options the SDK gives: --delete and --exclude. */
'use strict'
const fs = require('node:fs')
const path = require('node:path')

const words = process.argv.slice(2)
const [from, to] = words.slice(-2)
const excluded = words.filter((word) => word.startsWith('--exclude=')).map((word) => word.slice(10))

function skipped(place, isFolder) {
  return excluded.some((pattern) => {
    if (pattern.endsWith('/') && !isFolder) return false
    const bare = pattern.replace(/\/$/, '')
    const subject = bare.startsWith('/') ? `/${place}` : path.basename(place)
    const asked = bare.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    return new RegExp(`^${asked.join('[^/]*')}$`).test(subject)
  })
}

function copy(place) {
  const source = path.join(from, place)
  const target = path.join(to, place)
  const isFolder = fs.lstatSync(source).isDirectory()
  if (place && skipped(place, isFolder)) return
  if (!isFolder) return void fs.copyFileSync(source, target)
  fs.mkdirSync(target, { recursive: true })
  const names = fs.readdirSync(source)
  for (const name of fs.readdirSync(target)) {
    const inner = path.join(place, name)
    const old = path.join(target, name)
    if (!names.includes(name) && !skipped(inner, fs.lstatSync(old).isDirectory()))
      fs.rmSync(old, { recursive: true })
  }
  for (const name of names) copy(path.join(place, name))
}

if (fs.existsSync(from)) copy('')
