/** The ten prompts of the article this project follows, and what they say in Chinese; the models read English. */
export const examplePrompts = [
  { prompt: 'A panda listening to music with headphones. highly detailed, 8k.', zh: '戴耳机听音乐的熊猫' },
  { prompt: 'A dog listening to music with headphones. highly detailed, 8k.', zh: '戴耳机听音乐的狗' },
  { prompt: 'A robot cat eating spaghetti, digital art, 8k.', zh: '吃意大利面的机器猫，数字艺术' },
  {
    prompt: 'A large blob of exploding splashing rainbow paint, with an apple emerging, 8k.',
    zh: '彩虹颜料迸溅，一只苹果从中浮现',
  },
  { prompt: 'An astronaut riding a galloping horse, 8k.', zh: '骑着奔马的宇航员' },
  {
    prompt: 'A family of raccoons living in a small cabin, tilt shift, arc shot, 8k.',
    zh: '住在小木屋里的浣熊一家，移轴摄影',
  },
  { prompt: 'A tree walking through the forest, tilt shift, 8k.', zh: '穿行森林的树，移轴摄影' },
  { prompt: 'An octopus attacks New York, 8k.', zh: '章鱼袭击纽约' },
  { prompt: 'Motorcyclist on a racing track, highly detailed, 8k.', zh: '赛道上的摩托车手' },
  { prompt: 'Humans building a highway on Mars, cinematic, 8k.', zh: '人类在火星修建公路，电影感' },
] as const
