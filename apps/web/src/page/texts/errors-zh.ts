import type { ErrorCode } from '@sdcpu/contract'
import type { Fault } from '../read-fault.ts'
import type { ErrorDetails, ErrorTexts } from './errors-en.ts'

const FIELDS: Record<string, string> = {
  prompt: '提示词',
  negativePrompt: '反向提示词',
  n: '张数',
  seed: '种子',
  steps: '步数',
  guidance: '引导强度',
  strength: '变化程度',
  image: '参考图片',
}

/** What each error of the API means, in Chinese. */
export const errorsZh: Record<ErrorCode, (details: ErrorDetails) => ErrorTexts> = {
  invalid_request: ({ fault }) => ({
    title: '此请求未被接受。',
    hint: fault ? describeFault(fault) : '请检查提示词、设置和参考图片后重新提交。',
  }),
  unauthorized: () => ({ title: '此服务需要密钥。', hint: '请在页面顶部填写您获得的密钥。' }),
  not_found: () => ({ title: '服务无法识别本页的请求。', hint: '服务可能已更新，请重新加载页面。' }),
  image_not_found: gone,
  image_not_ready: () => ({ title: '图片尚未画完。', hint: '请稍候再试。' }),
  model_not_found: () => ({ title: '此模型已不再提供。', hint: '请在“设置”中选择其他模型。' }),
  expired: gone,
  payload_too_large: () => ({ title: '请求的数据过大。', hint: '请换用更小的参考图片，或不使用参考图片。' }),
  size_too_large: () => ({
    title: '此尺寸超出服务的能力。',
    hint: '工作节点的内存不足以绘制，请选择更小的尺寸。',
  }),
  unsupported_media_type: () => ({ title: '服务无法读取此请求。', hint: '服务可能已更新，请重新加载页面。' }),
  idempotency_mismatch: () => ({ title: '此请求曾以不同的设置提交过。', hint: '请点击“生成图片”重新提交。' }),
  flagged: ({ category }) => ({
    title: '此内容不符合服务的使用规范。',
    hint: `请换一种描述${category ? `；服务给出的原因：${category}` : ''}。`,
  }),
  canceled: () => ({ title: '图片已取消。', hint: '如仍需要，可重新生成。' }),
  queue_full: () => ({ title: '队列已满。', hint: '等待中的图片已经很多，请待其中一些画完后重试。' }),
  rate_limited: () => ({ title: '同时提交的请求过多。', hint: '请稍候再试。' }),
  unavailable: () => ({
    title: '暂时无法连接服务。',
    hint: '服务可能正在启动或重启。您输入的内容不会丢失，请稍后重试。',
  }),
  model_not_ready: () => ({ title: '模型仍在加载。', hint: '模型在服务启动时准备一次，请稍后重试。' }),
  generation_failed: ({ requestId }) => ({
    title: '图片未能画出。',
    hint: `请重试。若每次都失败，日志${requestId ? `（${requestId}）` : ''}中有原因。`,
  }),
  deadline_exceeded: () => ({
    title: '未能按时画出。',
    hint: '服务过于繁忙，超过了此请求的等待时间，请重试。',
  }),
  internal: ({ requestId }) => ({
    title: '出了点问题。',
    hint: `请重试。若每次都发生，日志${requestId ? `（${requestId}）` : ''}中有原因。`,
  }),
}

function gone(): ErrorTexts {
  return { title: '服务已不再保留此请求。', hint: '请求和图片在服务端只保存一段时间，请重新生成。' }
}

function describeFault({ field, value, limit, isLeast }: Fault): string {
  const name = FIELDS[field] ?? field
  return `${name}为 ${inChinese(value)}，${isLeast ? '下限' : '上限'}为 ${inChinese(limit)}。`
}

/** The units that the API counts in. */
function inChinese(amount: string): string {
  return amount
    .replace(/ characters$/, ' 个字符')
    .replace(/ bytes$/, ' 字节')
    .replace(/ pixels$/, ' 像素')
}
