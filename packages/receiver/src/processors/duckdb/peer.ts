/** Optional packages, loaded when they are used. */

/** @throws Error that names the package to install */
export async function importPeer<Module>(name: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new Error(`This needs the package ${name}: npm install ${name}`, { cause });
  }
}
