import type { Progress } from '../progress.ts'
import type { Texts } from './en.ts'
import { errorsZh } from './errors-zh.ts'

/** Every word the page shows, in Chinese. */
export const zh: Texts = {
  title: '文生图',
  skipToPrompt: '跳到提示词',
  needsReload: '页面出错了。',
  needsReloadHint: '图片仍保存在此浏览器中。重新加载页面即可继续；若每次都出错，可清空后重新开始。',
  startAfresh: '全部移除并重新开始',
  reload: '重新加载',

  language: '语言',
  theme: '主题',
  themes: { system: '跟随系统', light: '浅色', dark: '深色' },

  composerTitle: '描述一张图片',
  promptLabel: '提示词',
  promptPlaceholder: 'A quiet harbour at dawn, watercolour',
  promptMissing: '请描述想看到的画面，或选择一个示例。',
  promptTooLong: (count, limit) => `提示词有 ${count} 个字符，上限为 ${limit}。`,
  promptLanguageHint: '模型以英文训练，用英文描述效果更好。',
  surprise: '随机示例',
  examplesTitle: '试试这些',

  startPicture: '参考图片',
  startFromPicture: '从图片开始',
  startHint: '也可拖入或粘贴',
  startDrop: '松开即可作为参考图片',
  startChosen: (size) => `已选择参考图片，${size} 像素。`,
  replaceStart: (size) => `更换参考图片，当前为 ${size} 像素`,
  removeStart: '不使用参考图片',
  startFaults: {
    unreadable: '此浏览器无法将该文件作为图片读取。',
    tooLarge: '文件过大，上限为 40 MB。',
    gone: '当时的参考图片已不再保存在此浏览器中。请重新选择，或不使用参考图片。',
  },
  strength: '变化程度',
  strengthHint: (drawn, steps) => `绘制 ${steps} 步中的 ${drawn} 步。`,
  startFrom: '以此图为参考',
  startedFrom: '参考图片',

  settings: '设置',
  shape: '画幅',
  shapes: { square: '方形', portrait: '竖版', landscape: '横版', wide: '宽幅' },
  size: '尺寸',
  sizeOwn: (size) => `${size}（最佳）`,
  sizeUnknown: '模型默认',
  steps: '步数',
  stepsHint: '步数越多，细节越多，耗时越长。',
  automatic: '自动',
  automaticValue: (value) => `自动（${value}）`,
  backToAutomatic: (name) => `${name}：恢复自动`,
  count: '张数',
  seed: '种子',
  seedPlaceholder: '随机',
  seedInvalid: '种子是 0 到 4294967295 的整数，留空则随机。',
  lockSeed: '固定种子',
  unlockSeed: '恢复随机种子',
  model: '模型',
  sampler: '采样器',
  guidance: '引导强度',
  negativePrompt: '反向提示词',
  negativePlaceholder: '画面中不要出现的内容',
  negativeNeedsGuidance: '引导强度大于 1 时生效。',

  generate: '生成图片',
  sending: '正在提交…',
  shortcut: (isApple) => (isApple ? '⌘ ↵' : 'Ctrl ↵'),

  stageTitle: '当前图片',
  emptyTitle: '想看到什么画面?',
  emptyHint: '用一句话描述它。图片在普通 CPU 上从噪声中一步步画出。',
  cancel: '取消',
  canceling: '正在取消…',
  cancelFailed: '无法取消。',
  noWorker: '当前没有运行中的工作节点，恢复后即会绘制。',
  timeLeft: (duration) => `约剩 ${duration}`,
  duration: (seconds) => {
    if (seconds < 60) return `${seconds} 秒`
    if (seconds < 3600) return `${Math.floor(seconds / 60)} 分 ${seconds % 60} 秒`
    return `${Math.floor(seconds / 3600)} 小时 ${Math.floor((seconds % 3600) / 60)} 分`
  },
  progress: describeProgress,
  percentLabel: '进度',

  download: '下载',
  downloadOf: (prompt, seed) => `下载：${prompt}，种子 ${seed}`,
  copyLink: '复制链接',
  copied: '已复制',
  copyFailed: '请手动复制：',
  reuse: '沿用设置',
  sameSeed: '固定种子',
  sameSeedOf: (seed) => `固定种子 ${seed}`,
  again: '再画一次',
  compare: '对比',
  compareTitle: '并排对比',
  compareHint: (limit) => `选择 2 到 ${limit} 张图片。`,
  compareSelected: (count) => `已选 ${count} 张`,
  pick: (prompt, seed) => `选择：${prompt}，种子 ${seed}`,
  close: '关闭',
  previous: '上一张',
  next: '下一张',
  remove: '移除',
  removed: '已移除。',
  undo: '撤销',
  openPicture: (prompt, seed) => `打开：${prompt}，种子 ${seed}`,
  pictureGone: '此图片已不再保存。用相同的提示词和种子可以重新画出。',
  pictureLoading: '正在取回图片',
  notDrawn: '未能画出',
  nothingDrawn: '已取消，尚未画出图片。',
  canceledPicture: '已取消',

  galleryTitle: '图库',
  galleryKept: '仅保存在此浏览器中。',
  galleryUnkept: '此浏览器不为本页保存数据：关闭页面后图片将消失。',
  showMore: '显示更多',
  clear: '全部移除',
  clearTitle: '移除全部图片?',
  clearHint: (count) => `将从此浏览器中移除 ${count} 张图片。`,
  keep: '保留',

  detail: {
    prompt: '提示词',
    negativePrompt: '反向提示词',
    seed: '种子',
    size: '尺寸',
    steps: '步数',
    strength: '变化程度',
    sampler: '采样器',
    guidance: '引导强度',
    model: '模型',
    time: '绘制用时',
    date: '提交时间',
  },

  away: '暂时无法连接服务。',
  awayHint: '正在自动重试。队列中的图片会继续绘制。',
  keyNeeded: '此服务需要密钥。',
  keyHint: '请向运维者索取；密钥只保存在此浏览器中。',
  keyWrong: '此浏览器中保存的密钥无效。',
  key: 'API 密钥',
  useKey: '使用',
  checkNow: '立即重试',
  tryAgain: '重试',
  tryAgainIn: (seconds) => `${seconds} 秒后可重试`,

  licence: (model) => `图片由模型 ${model} 生成。`,
  licenceUnknown: '图片由 AI 模型生成，适用该模型的许可。',
  licenceOf: (id) => `许可：${id}`,
  apiDocs: 'HTTP 接口',
  aiNotice: 'AI 生成的图片可能有误或不当，分享前请先查看。',

  errors: errorsZh,
  refused: '此请求未被接受。',
}

function describeProgress(progress: Progress): string {
  switch (progress.phase) {
    case 'waiting':
      if (progress.position === undefined) return '正在排队'
      return progress.position === 0 ? '下一个就是' : `前面还有 ${progress.position} 张`
    case 'drawing':
      return `正在绘制，第 ${progress.step} 步，共 ${progress.steps} 步`
    case 'finishing':
      return '正在绘制，最后修饰'
    case 'partly':
      return `正在绘制，已完成 ${progress.ready} 张，共 ${progress.count} 张`
    case 'succeeded':
      return '完成'
    case 'failed':
      return '失败'
    case 'canceled':
      return '已取消'
  }
}
