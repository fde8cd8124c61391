/** One thread of a stress run: started by stress.ts with a bundle of this file. */
import { answerAsWorker } from '../../schedule/threads/crew.ts';
import { stressThread } from './stress.ts';

answerAsWorker(stressThread);
