// Times the stages of drawing, here and in other engines: `npm run bench`.
import { runBench } from '../bench/run-bench.ts'

process.exitCode = await runBench(process.argv.slice(2))
