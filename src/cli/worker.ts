/** A thread that simulates the pieces it is sent, one after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { answerPiece, type Common, type Piece } from './piece.ts';

const common = workerData as Common;
const port = parentPort!;

port.on('message', async (piece: Piece) => {
  port.postMessage(await answerPiece(common, piece));
});
