/**
 * Scrolling through content that is higher than browsers let an element be (Firefox 17.9 million px, Chromium 33.5 million device px).
 *
 * The element is only as high as is safe. Small moves, by wheel, finger or a click on the bar, move the content by as many pixels;
 * a jump, by the bar's thumb, goes to the part of the content that it stands for. What the two differ by is made up for when the
 * scrolling is over. Near both ends, where one looks for first and last, nothing differs.
 */
const SAFE_DEVICE_PX = 8_000_000;
/** As the thumb moves by a quarter of a pixel, or more; and by more than a page. Nothing else moves that far at once. */
const THUMB_PX = 1 / 4;

export class TallScroll {
  private total = 0;
  private room = 0;
  private scrollTop = 0;
  /** How much further down the content is than the element has scrolled. */
  shift = 0;

  private readonly safe: number;

  constructor(pixelRatio: number) {
    this.safe = SAFE_DEVICE_PX / pixelRatio;
  }

  /** Whether the content is higher than the element. */
  get isTall(): boolean {
    return this.total > this.safe;
  }

  /** How high the element is. */
  get height(): number {
    return Math.min(this.total, this.safe);
  }

  /** What of the content is at the top of the view. */
  get top(): number {
    return this.scrollTop + this.shift;
  }

  /** Content and view have this height from now on. */
  resize(total: number, room: number): void {
    this.total = total;
    this.room = room;
    if (!this.isTall) this.shift = 0;
    else this.shift = Math.max(0, Math.min(this.top, total - room)) - this.scrollTop;
  }

  /** The element has been scrolled, by whomever. */
  scrolled(scrollTop: number): void {
    const by = Math.abs(scrollTop - this.scrollTop);
    const last = this.height - this.room;
    this.scrollTop = scrollTop;
    if (!this.isTall) return;
    const isJump = by > Math.max(this.room, (this.height / Math.max(1, this.room)) * THUMB_PX);
    if (isJump || scrollTop <= 0 || scrollTop >= last - 0.5) this.shift = Math.round(this.contentAt(scrollTop)) - scrollTop;
    // Whoever moves by less than the way to an end has not passed it.
    else this.shift = Math.max(0, Math.min(this.top, this.total - this.room)) - scrollTop;
  }

  /** Goes to a place in the content; returns where the element has to be scrolled to. */
  goTo(top: number): number {
    const within = Math.max(0, Math.min(top, this.total - this.room));
    // Browsers keep whole pixels: a part of one would move the content each time.
    this.scrollTop = this.isTall ? Math.round(this.elementAt(within)) : within;
    this.shift = within - this.scrollTop;
    return this.scrollTop;
  }

  /** How much at each end is as it is. */
  private get exact(): number {
    return this.height / 8;
  }

  private elementAt(top: number): number {
    return this.map(top, this.total - this.room, this.height - this.room);
  }

  private contentAt(scrollTop: number): number {
    return this.map(scrollTop, this.height - this.room, this.total - this.room);
  }

  /** A place in one of the two, of which these are the ends, as one in the other. */
  private map(at: number, end: number, otherEnd: number): number {
    const { exact } = this;
    if (at <= exact) return at;
    if (at >= end - exact) return otherEnd - (end - at);
    return exact + ((at - exact) * (otherEnd - 2 * exact)) / (end - 2 * exact);
  }
}
