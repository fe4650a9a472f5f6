export * from './hub-double.ts'
export * from './single-file.ts'
