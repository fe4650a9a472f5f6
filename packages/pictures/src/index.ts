export { openPictureStore, type Picture, type PictureStore } from './picture-store.ts'
